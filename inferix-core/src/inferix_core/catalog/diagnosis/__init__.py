"""What is wrong or worth knowing about what is installed: the findings of `inferix plugins doctor`."""

from inferix_core.catalog.diagnosis.diagnosis import diagnose
from inferix_core.catalog.diagnosis.finding import Finding

__all__ = ["Finding", "diagnose"]
