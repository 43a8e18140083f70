"""darktable: the native module (native/, GPL-3.0-or-later) and the Lua panel (lua/); built, placed and checked."""
