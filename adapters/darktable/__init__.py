"""darktable: the native module (native/, GPL-3.0-or-later), how it is built, put in place and checked."""
