// neural isp for darktable: a kept residual and the one piece of arithmetic that a slider needs.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "nisp_request.h"

#include <glib.h>

struct dt_iop_roi_t;
struct dt_dev_pixelpipe_iop_t;

/** How much of the residual goes, each 0..1; what is taken out is strength * (luma * luma part + chroma * chroma part). */
typedef struct nisp_weights_t
{
  float strength, luma, chroma;
} nisp_weights_t;

typedef struct nisp_residual_t nisp_residual_t;

/** The residual that is kept for the request, mapped into memory, or NULL. Its time of use is renewed. */
nisp_residual_t *nisp_residual_open(const nisp_request_t *request);
void nisp_residual_close(nisp_residual_t *residual);

/** "model version" and the source of the noise parameters, as its header has them. */
const char *nisp_residual_model(const nisp_residual_t *residual);
const char *nisp_residual_noise(const nisp_residual_t *residual);

/** Takes the residual out of a full-size window. span: white - black of the pipe, in raw units. */
void nisp_residual_blend(const nisp_residual_t *residual, nisp_weights_t weights, float span, const float *in,
                         const struct dt_iop_roi_t *roi_in, float *out, const struct dt_iop_roi_t *roi_out);

/** The same for the small mosaic of the navigation's pipe: the residual goes through darktable's own reduction.
    FALSE if there is no memory for it; `out` is untouched then. */
gboolean nisp_residual_blend_small(nisp_residual_t *residual, const nisp_request_t *request,
                                   const struct dt_dev_pixelpipe_iop_t *piece, nisp_weights_t weights, float span,
                                   const float *in, const struct dt_iop_roi_t *roi_in, float *out,
                                   const struct dt_iop_roi_t *roi_out);
