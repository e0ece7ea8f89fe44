"""What watches passes while they run: dumps, printed IR, execution after each, timings, or your own.

    from cimc.instrument import CheckEach, DumpIR, Timings
    times = Timings()
    cimc.compile("model.onnx", calib=requests, instrument=[times, DumpIR("ir"), CheckEach("model.onnx")])
    print(times.table())

:meth:`cimc.Pipeline.run` takes them too.  Your own derive from :class:`Instrument`.
"""

from cimc.instrument.check_each import CheckEach
from cimc.instrument.dump import DumpIR
from cimc.instrument.pass_progress import PassProgress
from cimc.instrument.print_ir import PrintIR
from cimc.instrument.timings import Timing, Timings
from cimc.transforms.instrumentation import Instrument

__all__ = ["CheckEach", "DumpIR", "Instrument", "PassProgress", "PrintIR", "Timing", "Timings"]
