// neural isp for darktable: darktable's own macro without the half that nisp_version.c does better.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "common/darktable.h"

#undef DT_MODULE_INTROSPECTION
#define DT_MODULE_INTROSPECTION(MODVER, PARAMSTYPE) \
  int dt_module_mod_version() \
  { \
    return MODVER; \
  }
