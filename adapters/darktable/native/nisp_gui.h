// neural isp for darktable: the part of the module that people see. Nothing here is called without a GUI but the words.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

struct dt_iop_module_t;

#define NISP_CONF_FAIL_CLOSED "plugins/darkroom/neuralisp/fail_closed"

void nisp_gui_init(struct dt_iop_module_t *self);

/** The status line for the image in the darkroom; on the GTK thread. */
void nisp_gui_update(struct dt_iop_module_t *self);

/** From any thread: the status line is written anew soon. */
void nisp_gui_refresh(void);

/** From any thread: the helper has ended; the darkroom's pipes run again if they still show that image. */
void nisp_gui_finished(int32_t imgid);

/** What the helper's stages and outcomes are called. fraction: 0..1 of the stage. */
void nisp_words_running(char *text, size_t size, const char *stage, double fraction);
void nisp_words_done(char *text, size_t size, const char *model, const char *noise, const char *seconds);
