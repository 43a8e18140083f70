// neural isp for darktable: the door that only the right darktable gets through.
// SPDX-License-Identifier: GPL-3.0-or-later

#include "config.h"
#include "common/darktable.h"

#include <stdio.h>
#include <string.h>

// for `neural-isp darktable doctor`, which reads it from the file
__attribute__((used)) static const char _built_for[] = "NEURALISP-BUILT-FOR:" NEURALISP_DARKTABLE_VERSION;

// darktable asks for this number before anything else and leaves a module alone that gives another one than its own.
// The number alone is too weak: it stayed 23 while darktable's structures changed, and a module that reads them at the
// wrong offsets crashes. So the module is for exactly the version it was compiled against.
__attribute__((visibility("default"))) int dt_module_dt_version(void)
{
  if(!strcmp(darktable_package_version, NEURALISP_DARKTABLE_VERSION)) return DT_MODULE_VERSION;
  fprintf(stderr,
          "[neural isp] this module was built for darktable %s and is left out of darktable %s; "
          "run `neural-isp darktable install` to build it anew\n",
          NEURALISP_DARKTABLE_VERSION, darktable_package_version);
  return 0;
}
