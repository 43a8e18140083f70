"""darktable: a Lua panel that restores selected RAW files to DNGs beside them."""
