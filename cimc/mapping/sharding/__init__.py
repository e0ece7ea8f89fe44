"""Tables cut into pieces and given to chips, after published planners: a plain numpy problem.

:func:`~cimc.mapping.sharding.plan_shards.plan_shards` takes a policy by name.
"""
