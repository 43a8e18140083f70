"""Files to frames and back. rawpy, pyexiv2, tifffile and imagecodecs are imported here and nowhere else."""

__all__: list[str] = []
