"""The file endings that LibRaw knows, for folder walks and file dialogs; what a file is, only reading it tells."""

from __future__ import annotations

__all__ = ["RAW_ENDINGS"]

# Source: LibRaw's list of supported cameras, one ending per maker's format.
_ENDINGS = """
3fr ari arw bay cap cine cr2 cr3 crw dcr dcs dng drf eip erf fff gpr iiq k25 kdc mdc mef mos mrw nef nrw orf ori pef
ptx raf raw rdc rw2 rwl rwz sr2 srf srw sti x3f
"""
RAW_ENDINGS = tuple(f".{ending}" for ending in _ENDINGS.split())
