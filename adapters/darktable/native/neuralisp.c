// neural isp for darktable: takes the noise out of the mosaic, before white balance and demosaic.
// SPDX-License-Identifier: GPL-3.0-or-later
//
// The restoring is done by the neural-isp server, which a helper program asks; what comes back is the residual (source
// less restored), which is kept in files. This module adds nothing to that but a subtraction with three weights.
// This is the only file that darktable's introspection reads.

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#include "nisp_gui.h"
#include "nisp_order.h"
#include "nisp_request.h"
#include "nisp_residual.h"
#include "nisp_version.h"

#include "common/darktable.h"
#include "control/conf.h"
#include "develop/develop.h"
#include "develop/imageop.h"
#include "develop/imageop_math.h"
#include "develop/pixelpipe.h"
#include "gui/gtk.h"
#include "iop/iop_api.h"

#include <gtk/gtk.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT_LIMIT_S 1800.0 // how long an export waits for the restoration

DT_MODULE_INTROSPECTION(1, dt_iop_neuralisp_params_t)

typedef enum dt_iop_neuralisp_model_t
{
  DT_NEURALISP_STANDARD = 0, // $DESCRIPTION: "standard"
  DT_NEURALISP_FAST = 1,     // $DESCRIPTION: "fast"
  DT_NEURALISP_FINE = 2,     // $DESCRIPTION: "fine"
} dt_iop_neuralisp_model_t;

typedef struct dt_iop_neuralisp_params_t
{
  dt_iop_neuralisp_model_t model; // $DEFAULT: DT_NEURALISP_STANDARD $DESCRIPTION: "model"
  float strength;                 // $MIN: 0.0 $MAX: 1.0 $DEFAULT: 1.0 $DESCRIPTION: "strength"
  float luma;                     // $MIN: 0.0 $MAX: 1.0 $DEFAULT: 1.0 $DESCRIPTION: "luma"
  float chroma;                   // $MIN: 0.0 $MAX: 1.0 $DEFAULT: 1.0 $DESCRIPTION: "chroma"
} dt_iop_neuralisp_params_t;

typedef dt_iop_neuralisp_params_t dt_iop_neuralisp_data_t;

static const char *const model_ids[] = { "standard", "fast", "fine" };

const char *name()
{
  return _("neural isp");
}

const char *aliases()
{
  return _("denoise|raw denoise|noise reduction|neural");
}

const char **description(struct dt_iop_module_t *self)
{
  return dt_iop_set_description(self, _("take the noise out of the raw mosaic with a network that knows the sensor's noise"),
                                _("corrective"), _("linear, raw, scene-referred"), _("linear, raw"),
                                _("linear, raw, scene-referred"));
}

int flags()
{
  return IOP_FLAGS_INCLUDE_IN_STYLES | IOP_FLAGS_ONE_INSTANCE;
}

int default_group()
{
  return IOP_GROUP_CORRECT | IOP_GROUP_TECHNICAL;
}

int default_colorspace(dt_iop_module_t *self, dt_dev_pixelpipe_t *pipe, dt_dev_pixelpipe_iop_t *piece)
{
  return IOP_CS_RAW;
}

void init_global(dt_iop_module_so_t *self)
{
  nisp_order_hook();
}

void init(dt_iop_module_t *self)
{
  dt_iop_default_init(self);
  if(self->dev) nisp_order_write(self->dev->image_storage.id);
}

static gboolean _is_mosaic(const dt_image_t *image)
{
  return dt_image_is_raw(image) && image->buf_dsc.filters && image->buf_dsc.channels == 1;
}

void reload_defaults(dt_iop_module_t *self)
{
  nisp_order_write(self->dev->image_storage.id);
  self->hide_enable_button = !_is_mosaic(&self->dev->image_storage);
  self->default_enabled = FALSE;
}

void init_pipe(dt_iop_module_t *self, dt_dev_pixelpipe_t *pipe, dt_dev_pixelpipe_iop_t *piece)
{
  piece->data = calloc(1, sizeof(dt_iop_neuralisp_data_t));
}

void cleanup_pipe(dt_iop_module_t *self, dt_dev_pixelpipe_t *pipe, dt_dev_pixelpipe_iop_t *piece)
{
  free(piece->data);
  piece->data = NULL;
}

void commit_params(dt_iop_module_t *self, dt_iop_params_t *params, dt_dev_pixelpipe_t *pipe,
                   dt_dev_pixelpipe_iop_t *piece)
{
  memcpy(piece->data, params, sizeof(dt_iop_neuralisp_data_t));
  // without a place in the order the module would work on display data
  if(!_is_mosaic(&pipe->image) || self->iop_order == INT_MAX) piece->enabled = 0;
}

static gboolean _is(const dt_dev_pixelpipe_iop_t *piece, const dt_dev_pixelpipe_type_t type)
{
  return (piece->pipe->type & type) == type;
}

// the navigation's pipe works on a reduced mosaic; all others on the full one
static gboolean _full_size(const dt_dev_pixelpipe_iop_t *piece)
{
  return piece->iscale == 1.0f && !_is(piece, DT_DEV_PIXELPIPE_PREVIEW);
}

void modify_roi_in(dt_iop_module_t *self, dt_dev_pixelpipe_iop_t *piece, const dt_iop_roi_t *roi_out,
                   dt_iop_roi_t *roi_in)
{
  *roi_in = *roi_out;
  if(!_full_size(piece)) return;
  // all of it, so that samples can be sent; demosaic may ask for a few rows and columns more than there are
  roi_in->width = MAX(piece->buf_in.width, roi_out->x + roi_out->width);
  roi_in->height = MAX(piece->buf_in.height, roi_out->y + roi_out->height);
  roi_in->x = roi_in->y = 0;
  roi_in->scale = 1.0f;
}

// one line for people on stderr, one file for programs
static void _tell_export(const nisp_request_t *request, const char *outcome, const char *message)
{
  if(message[0]) fprintf(stderr, "[neural isp] %s: exported %s: %s\n", request->path, outcome, message);
  GKeyFile *file = g_key_file_new();
  g_key_file_set_string(file, "neural-isp", "outcome", outcome);
  g_key_file_set_string(file, "neural-isp", "message", message);
  char *path = nisp_request_file(request, "export");
  g_key_file_save_to_file(file, path, NULL);
  g_free(path);
  g_key_file_free(file);
}

static nisp_residual_t *_wait(dt_dev_pixelpipe_iop_t *piece, nisp_request_t *request, const float *in,
                              const dt_iop_roi_t *roi_in)
{
  nisp_request_start(request, in, roi_in->width);
  nisp_report_t report = nisp_request_wait(request, EXPORT_LIMIT_S);
  if(report.state == NISP_MISMATCH && !request->samples && nisp_request_fill(request, piece, request->model))
  {
    nisp_request_start(request, in, roi_in->width);
    report = nisp_request_wait(request, EXPORT_LIMIT_S);
  }
  nisp_residual_t *residual = nisp_residual_open(request);
  if(residual) return residual;
  const gboolean closed = dt_conf_get_bool(NISP_CONF_FAIL_CLOSED);
  if(report.state == NISP_RUNNING) g_strlcpy(report.text, _("it took too long"), sizeof(report.text));
  _tell_export(request, closed ? "nothing" : "without restoration", report.text[0] ? report.text : "?");
  if(closed) dt_atomic_set_int(&piece->pipe->shutdown, TRUE); // the export finds no picture and fails
  return NULL;
}

// starts what is missing, as far as this pipe may, and says in the darkroom how it stands
static nisp_residual_t *_obtain(dt_iop_module_t *self, dt_dev_pixelpipe_iop_t *piece, nisp_request_t *request,
                                const float *in, const dt_iop_roi_t *roi_in)
{
  if(_is(piece, DT_DEV_PIXELPIPE_EXPORT)) return _wait(piece, request, in, roi_in);
  if(!_is(piece, DT_DEV_PIXELPIPE_FULL)) return NULL;
  nisp_request_start(request, in, roi_in->width);
  const nisp_report_t report = nisp_request_report(request);
  if(report.state == NISP_FAILED)
    dt_iop_set_module_trouble_message(self, _("not restored"), report.text, NULL);
  else
    dt_iop_set_module_trouble_message(self, _("not restored yet"),
                                      _("the picture is being restored and is shown\nas soon as that is done"), NULL);
  return NULL;
}

static void _copy_window(const float *in, const dt_iop_roi_t *roi_in, float *out, const dt_iop_roi_t *roi_out)
{
  for(int row = 0; row < roi_out->height; row++)
    memcpy(out + (size_t)row * roi_out->width,
           in + (size_t)(roi_out->y + row - roi_in->y) * roi_in->width + (roi_out->x - roi_in->x),
           sizeof(float) * roi_out->width);
}

void process(struct dt_iop_module_t *self, dt_dev_pixelpipe_iop_t *piece, const void *const ivoid, void *const ovoid,
             const dt_iop_roi_t *const roi_in, const dt_iop_roi_t *const roi_out)
{
  if(!dt_iop_have_required_input_format(1, self, piece->colors, ivoid, ovoid, roi_in, roi_out)) return;
  const dt_iop_neuralisp_data_t *d = piece->data;
  const nisp_weights_t weights = { d->strength, d->luma, d->chroma };
  const gboolean identity = d->strength == 0.0f || (d->luma == 0.0f && d->chroma == 0.0f);
  const float span = piece->pipe->dsc.rawprepare.raw_white_point - piece->pipe->dsc.rawprepare.raw_black_level;
  const gboolean full_size = _full_size(piece);

  nisp_request_t request;
  nisp_residual_t *residual = NULL;
  const char *model = model_ids[d->model <= DT_NEURALISP_FINE ? d->model : DT_NEURALISP_STANDARD];
  const gboolean known = nisp_request_fill(&request, piece, model) && span > 0.0f;
  if(known && _is(piece, DT_DEV_PIXELPIPE_FULL)) nisp_request_set_current(&request);
  if(known && !identity)
  {
    residual = nisp_residual_open(&request);
    if(!residual) residual = _obtain(self, piece, &request, ivoid, roi_in);
  }
  gboolean done = FALSE;
  if(residual && full_size)
  {
    nisp_residual_blend(residual, weights, span, ivoid, roi_in, ovoid, roi_out);
    done = TRUE;
  }
  else if(residual)
    done = nisp_residual_blend_small(residual, &request, piece, weights, span, ivoid, roi_in, ovoid, roi_out);
  if(!done) _copy_window(ivoid, roi_in, ovoid, roi_out);
  if(residual && _is(piece, DT_DEV_PIXELPIPE_EXPORT)) _tell_export(&request, "restored", "");
  if((done || identity) && _is(piece, DT_DEV_PIXELPIPE_FULL))
    dt_iop_set_module_trouble_message(self, NULL, NULL, NULL);
  if(_is(piece, DT_DEV_PIXELPIPE_FULL)) nisp_gui_refresh();
  nisp_residual_close(residual);
}

void gui_init(dt_iop_module_t *self)
{
  nisp_gui_init(self);
}

void gui_update(dt_iop_module_t *self)
{
  nisp_gui_update(self);
}
