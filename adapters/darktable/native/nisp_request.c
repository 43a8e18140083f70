// neural isp for darktable: what is asked of the helper, and which files carry the answer.
// SPDX-License-Identifier: GPL-3.0-or-later

#include "nisp_request.h"

#include "common/darktable.h"
#include "common/image.h"
#include "develop/imageop.h"
#include "develop/imageop_math.h"
#include "develop/pixelpipe.h"

#include <glib/gstdio.h>
#include <string.h>

static GMutex _lock;
static nisp_request_t _current = { { 0 } };

// rawprepare of the same pipe: where it cuts the sensor frame
static const dt_iop_module_t *_rawprepare(const dt_dev_pixelpipe_iop_t *piece)
{
  for(const GList *nodes = piece->pipe->nodes; nodes; nodes = g_list_next(nodes))
  {
    const dt_dev_pixelpipe_iop_t *node = nodes->data;
    if(!strcmp(node->module->op, "rawprepare")) return node->enabled ? node->module : NULL;
  }
  return NULL;
}

static int _param(const dt_iop_module_t *module, const char *name)
{
  const int *value = module->get_p(module->params, name);
  return value ? *value : 0;
}

// FALSE for sensors of four colours
static gboolean _fill_cfa(nisp_request_t *request, const dt_image_t *image)
{
  const uint32_t filters = image->buf_dsc.filters;
  request->period = filters == 9u ? 6 : 2;
  for(int row = 0; row < request->period; row++)
    for(int column = 0; column < request->period; column++)
    {
      const int y = row + request->top, x = column + request->left;
      const int color = filters == 9u ? image->buf_dsc.xtrans[y % 6][x % 6] : FC(y, x, filters);
      if(color > 2) return FALSE;
      request->cfa[row * request->period + column] = color;
    }
  return TRUE;
}

static void _fill_key(nisp_request_t *request, const GStatBuf *status, const dt_iop_module_t *rawprepare)
{
  GString *text = g_string_new(NULL);
  g_string_printf(text, "1\n%s\n%" G_GINT64_FORMAT "\n%" G_GINT64_FORMAT ".%09ld\n%s\n%d %d %d %d", request->path,
                  (gint64)status->st_size, (gint64)status->st_mtim.tv_sec, status->st_mtim.tv_nsec, request->model,
                  request->top, request->left, request->height, request->width);
  if(request->samples) // they change with rawprepare's levels
  {
    char *levels = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)rawprepare->params,
                                               rawprepare->params_size);
    g_string_append_printf(text, "\nsamples %s", levels);
    g_free(levels);
  }
  char *digest = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text->str, -1);
  g_strlcpy(request->key, digest, sizeof(request->key));
  g_free(digest);
  g_string_free(text, TRUE);
}

gboolean nisp_request_fill(nisp_request_t *request, const dt_dev_pixelpipe_iop_t *piece, const char *model)
{
  memset(request, 0, sizeof(*request));
  const dt_image_t *image = &piece->pipe->image;
  const dt_iop_module_t *rawprepare = _rawprepare(piece);
  if(!image->buf_dsc.filters || image->buf_dsc.channels != 1 || !rawprepare) return FALSE;

  request->imgid = image->id;
  g_strlcpy(request->model, model, sizeof(request->model));
  request->frame_height = image->height;
  request->frame_width = image->width;
  request->left = _param(rawprepare, "x");
  request->top = _param(rawprepare, "y");
  // demosaic may ask for a few rows and columns beyond rawprepare's crop: the window goes to the frame's end
  request->width = image->width - request->left;
  request->height = image->height - request->top;
  if(request->width < 8 || request->height < 8 || !_fill_cfa(request, image)) return FALSE;

  gboolean from_cache = TRUE;
  dt_image_full_path(image->id, request->path, sizeof(request->path), &from_cache);
  GStatBuf status;
  if(!request->path[0] || g_stat(request->path, &status)) return FALSE;

  // a lens shading map from the file is in the samples already
  const gboolean shaded = _param(rawprepare, "flat_field") && g_list_length(image->dng_gain_maps) == 4;
  _fill_key(request, &status, rawprepare);
  if(shaded || nisp_request_report(request).state == NISP_MISMATCH)
  {
    request->samples = TRUE;
    request->width -= _param(rawprepare, "width");
    request->height -= _param(rawprepare, "height");
    _fill_key(request, &status, rawprepare);
  }
  return TRUE;
}

char *nisp_request_file(const nisp_request_t *request, const char *kind)
{
  // as plugin_core/config.py has it
  const char *own = g_getenv("NEURAL_ISP_CACHE");
  char *folder = own && own[0] ? g_build_filename(own, "hosts", NULL)
                               : g_build_filename(g_get_user_cache_dir(), "neural-isp", "hosts", NULL);
  g_mkdir_with_parents(folder, 0700);
  char *name = g_strdup_printf("%s.%s", request->key, kind);
  char *path = g_build_filename(folder, name, NULL);
  g_free(name);
  g_free(folder);
  return path;
}

gboolean nisp_request_current(nisp_request_t *request)
{
  g_mutex_lock(&_lock);
  *request = _current;
  g_mutex_unlock(&_lock);
  return request->key[0] != 0;
}

void nisp_request_set_current(const nisp_request_t *request)
{
  g_mutex_lock(&_lock);
  _current = *request;
  g_mutex_unlock(&_lock);
}
