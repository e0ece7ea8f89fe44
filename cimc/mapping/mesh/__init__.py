"""Placement of blocks that exchange data with each other on a mesh (quadratic assignment).

Importing this costs numpy; the methods compile their loops when they first run.
"""

from cimc.mapping.mesh.mesh_bounds import quadratic_bound
from cimc.mapping.mesh.mesh_evaluation import QuadraticEvaluation, QuadraticSolution, evaluate_quadratic
from cimc.mapping.mesh.mesh_problem import QuadraticProblem, QuadraticProposal
from cimc.mapping.mesh.mesh_solve import quadratic_methods, register_quadratic, solve_quadratic

__all__ = [
    "QuadraticEvaluation",
    "QuadraticProblem",
    "QuadraticProposal",
    "QuadraticSolution",
    "evaluate_quadratic",
    "quadratic_bound",
    "quadratic_methods",
    "register_quadratic",
    "solve_quadratic",
]
