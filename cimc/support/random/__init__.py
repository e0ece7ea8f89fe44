"""The one generator of random numbers: every draw is a function of a key, never of what was drawn before.

Whatever is random in an artifact, a trace, a request file or a simulation comes from here, so that equal
seeds give equal bytes: numpy does not promise the streams of its own generators from one version to the next.

* :mod:`~cimc.support.random.splitmix`: keys and words, the definition; ``splitmix_jit``: in compiled loops.
* :mod:`~cimc.support.random.draws`: numbers by position (``uniform``, ``normal``, ``permuted``) or one after
  another (``Draws``).
* :mod:`~cimc.support.random.quantiles`: normal deviates whose bits are the same on every machine.
"""
