"""Calibration, ranges and quantization parameters.

The modules, in the order in which a graph meets them:

| step | where |
| --- | --- |
| even out channels before anything is rounded | `channels/`: `equalise` (by `reach`), `smooth` |
| see how tensors spread | `observe/`: `calibrate` → `calibration` (`fetch`, `histogram`, `masks`) |
| or read what a source that came quantized says itself | `recorded/`: `undress` (`lift`, `grids`), `gaps`, `weights` |
| say what an engine wants | `rules/`: `schemes`, `roles`, `groups`, `tensorrt` |
| leave in float what integers would spoil, or gain nothing in | `floats/`: `islands`, `faint`, `tail`, `closing`, `recurrences`, `places`, `dynamic` |
| choose a range, and parameters from it | `ranges/`: `choose` (`entropy`, `responses`), `weights`; all together: `assign` → `parameters` |
| mend what rounding does, where that is heard at the outputs | `mend/`: `tuned` = `rounding` (`patches`), `correct`, judged by `probe` (`heads`) |
| keep the worst in float when a budget is missed | `mend/sensitivity`, by `rules/blocks` |
| write Q/DQ pairs | `qdq` |
"""

from edgekit.core.optional import need

need("onnx")
