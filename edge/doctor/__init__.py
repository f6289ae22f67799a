"""What this machine is, what can run here, what stands in the way, and one thing to do about each of those."""

from __future__ import annotations

from edgekit.doctor.diagnosis import Diagnosis as Diagnosis
from edgekit.doctor.diagnosis import diagnose as diagnose
