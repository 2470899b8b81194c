"""optlearn: the small, tested NumPy package that the book's chapters call.

One module a topic: ``losses``, ``functions``, ``networks``, ``optimizers``, ``gradients``,
``schedules``, ``training``, ``runs``, ``sweeps``, ``comparing``, ``quantization``, ``transfer``,
``datasets`` and ``plotting``. Import what you need from its module, for instance
``from optlearn.optimizers import Adam``.
"""

__version__ = "0.1.0"
