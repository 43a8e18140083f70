// neural isp for darktable: a place in the pipe for a module that darktable's own lists don't know.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <glib.h>
#include <stdint.h>

/** Gives "neuralisp" its place before "temperature" (white balance) in every order list of this process. To be called
    once, from init_global: darktable checks its list right after the modules are loaded and stops without the entry. */
void nisp_order_hook(void);

/** Where the hook found too little to hold on to, writes an image's own order list with our entry into the library
    (the image's order is "custom" from then on). Does nothing where the hook works. */
void nisp_order_write(int32_t imgid);
