"""Calibration, ranges and quantization parameters.

The modules, in the order in which a graph meets them:

| step | modules |
| --- | --- |
| read what a source recorded itself | `recorded` |
| even out channels before anything is rounded | `equalise` (`reach`), `smooth` |
| see how tensors spread | `calibrate`, `calibration`, `fetch`, `histogram`, `masks` |
| say what an engine wants | `schemes`, `roles`, `groups`, `tensorrt_rules` |
| leave in float what integers would spoil, or gain nothing in | `islands`, `tail`, `closing`, `recurrences`, `dynamic` |
| choose a range, and parameters from it | `ranges` (`entropy`, `responses`), `weights`, `parameters`; all together: `assign` |
| mend what rounding does, where that is heard at the outputs | `tuned`: `rounding` (`patches`), `correct` (`replay`), judged by `probe` (`heads`) |
| keep the worst in float when a budget is missed | `sensitivity` (`blocks`) |
| write Q/DQ pairs | `qdq` |
"""

from edgekit.core.optional import need

need("onnx")
