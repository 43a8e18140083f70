"""RawTherapee: a restored picture by way of its Dark Frame tool, in an unmodified RawTherapee."""
