// neural isp for darktable: a kept residual and the one piece of arithmetic that a slider needs.
// SPDX-License-Identifier: GPL-3.0-or-later

#include "nisp_residual.h"

#include "common/darktable.h"
#include "common/image.h"
#include "develop/imageop.h"
#include "develop/imageop_math.h"
#include "develop/pixelpipe.h"

#include <math.h>
#include <string.h>
#include <utime.h>
#include <zlib.h>

#define MAGIC "NISPRES" // with its final zero: 8 bytes
#define VERSION 1
#define KEPT 2 // open residuals: the picture in the darkroom and the one before it

// little-endian on disk, as plugin_core/io/residual_file.py writes it; the planes of float16 follow
typedef struct __attribute__((packed)) header_t
{
  char magic[8];
  uint32_t version, bytes, width, height;
  float span; // 0: raw units
  uint32_t period;
  uint8_t cfa[36];
  uint32_t crc;
  uint64_t payload;
  char model[32], model_version[16], noise[32];
  uint8_t reserved[96];
} header_t;
G_STATIC_ASSERT(sizeof(header_t) == 256);

struct nisp_residual_t
{
  gint users;
  char key[NISP_KEY_BYTES];
  GMappedFile *file;
  const header_t *header;
  const uint16_t *parts[2]; // luma, chroma
  char model[64];
  GMutex lock;     // of what follows
  float *small[2]; // both parts as the navigation's pipe sees them, or NULL
  int small_width, small_height;
};

static GMutex _lock;
static nisp_residual_t *_kept[KEPT]; // the one used last comes first

static nisp_residual_t *_read(const char *path, const nisp_request_t *request)
{
  GMappedFile *file = g_mapped_file_new(path, FALSE, NULL);
  if(!file) return NULL;
  const char *bytes = g_mapped_file_get_contents(file);
  const size_t length = g_mapped_file_get_length(file);
  const header_t *header = (const header_t *)bytes;
  const size_t payload = (size_t)4 * request->width * request->height;
  const gboolean good = length == sizeof(header_t) + payload && !memcmp(header->magic, MAGIC, sizeof(header->magic))
                        && header->version == VERSION && header->bytes == sizeof(header_t)
                        && header->width == request->width && header->height == request->height
                        && header->payload == payload
                        && crc32_z(0, (const Bytef *)bytes + sizeof(header_t), payload) == header->crc;
  if(!good)
  {
    g_mapped_file_unref(file);
    fprintf(stderr, "[neural isp] %s is damaged or of another version; it is made again\n", path);
    remove(path);
    return NULL;
  }
  nisp_residual_t *residual = g_new0(nisp_residual_t, 1);
  residual->users = 1;
  g_strlcpy(residual->key, request->key, sizeof(residual->key));
  residual->file = file;
  residual->header = header;
  residual->parts[0] = (const uint16_t *)(bytes + sizeof(header_t));
  residual->parts[1] = residual->parts[0] + (size_t)request->width * request->height;
  snprintf(residual->model, sizeof(residual->model), "%.32s %.16s", header->model, header->model_version);
  g_mutex_init(&residual->lock);
  return residual;
}

nisp_residual_t *nisp_residual_open(const nisp_request_t *request)
{
  char *path = nisp_request_file(request, "residual");
  nisp_residual_t *found = NULL;
  g_mutex_lock(&_lock);
  int place = 0;
  while(place < KEPT && !(_kept[place] && !strcmp(_kept[place]->key, request->key))) place++;
  if(!g_file_test(path, G_FILE_TEST_EXISTS)) // "restore now", or the cache was cleared
  {
    if(place < KEPT)
    {
      nisp_residual_close(_kept[place]);
      _kept[place] = NULL;
    }
  }
  else if(place < KEPT)
    found = _kept[place];
  else
    found = _read(path, request);
  if(found)
  {
    if(place == KEPT && _kept[--place]) nisp_residual_close(_kept[place]);
    memmove(_kept + 1, _kept, sizeof(*_kept) * place);
    _kept[0] = found;
    g_atomic_int_inc(&found->users);
    utime(path, NULL); // least recently used out first
  }
  g_mutex_unlock(&_lock);
  g_free(path);
  return found;
}

void nisp_residual_close(nisp_residual_t *residual)
{
  if(!residual || !g_atomic_int_dec_and_test(&residual->users)) return;
  g_mapped_file_unref(residual->file);
  for(int part = 0; part < 2; part++) dt_free_align(residual->small[part]);
  g_mutex_clear(&residual->lock);
  g_free(residual);
}

const char *nisp_residual_model(const nisp_residual_t *residual)
{
  return residual->model;
}

const char *nisp_residual_noise(const nisp_residual_t *residual)
{
  return residual->header->noise;
}

// IEEE 754 binary16 to binary32: exponent and fraction move into place, and the product mends the bias; the sign bit
// follows. Subnormals come out right, infinities don't occur.
static inline float _from_half(const uint16_t half)
{
  union { uint32_t bits; float value; } magnitude = { .bits = (uint32_t)(half & 0x7fff) << 13 };
  magnitude.value *= 0x1p112f;
  magnitude.bits |= (uint32_t)(half & 0x8000) << 16;
  return magnitude.value;
}

static float _scale(const nisp_residual_t *residual, const nisp_weights_t weights, const float span)
{
  return weights.strength / (residual->header->span > 0.0f ? residual->header->span : span);
}

void nisp_residual_blend(const nisp_residual_t *residual, const nisp_weights_t weights, const float span,
                         const float *const in, const dt_iop_roi_t *const roi_in, float *const out,
                         const dt_iop_roi_t *const roi_out)
{
  const float scale = _scale(residual, weights, span);
  const float luma = scale * weights.luma, chroma = scale * weights.chroma;
  const uint16_t *const parts0 = residual->parts[0], *const parts1 = residual->parts[1];
  const int width = residual->header->width, height = residual->header->height;
#ifdef _OPENMP
#pragma omp parallel for schedule(static)
#endif
  for(int row = 0; row < roi_out->height; row++)
  {
    const size_t there = (size_t)(roi_out->y + row) * width + roi_out->x;
    const float *const from
        = in + (size_t)(roi_out->y + row - roi_in->y) * roi_in->width + (roi_out->x - roi_in->x);
    float *const to = out + (size_t)row * roi_out->width;
    const int known = roi_out->y + row < height ? CLAMP(width - roi_out->x, 0, roi_out->width) : 0;
    for(int column = 0; column < known; column++)
      to[column] = from[column] - luma * _from_half(parts0[there + column]) - chroma * _from_half(parts1[there + column]);
    for(int column = known; column < roi_out->width; column++) to[column] = from[column];
  }
}

// one part over the whole sensor frame (0 outside the window), reduced just as darktable has reduced the file's mosaic
static gboolean _reduce(nisp_residual_t *residual, const int part, const nisp_request_t *request,
                        const dt_image_t *image, const int width, const int height)
{
  float *frame = dt_calloc_align(64, sizeof(float) * request->frame_width * request->frame_height);
  float *small = dt_alloc_align(64, sizeof(float) * width * height);
  if(frame && small)
  {
    for(int row = 0; row < request->height; row++)
    {
      const uint16_t *from = residual->parts[part] + (size_t)row * request->width;
      float *to = frame + (size_t)(row + request->top) * request->frame_width + request->left;
      for(int column = 0; column < request->width; column++) to[column] = _from_half(from[column]);
    }
    const dt_iop_roi_t roi_in = { 0, 0, request->frame_width, request->frame_height, 1.0f };
    // the side that limits the reduction is exact, the other one is cut to an integer
    const dt_iop_roi_t roi_out = { 0, 0, width, height,
                                   fmaxf((float)width / request->frame_width, (float)height / request->frame_height) };
    if(image->buf_dsc.filters == 9u)
      dt_iop_clip_and_zoom_mosaic_third_size_xtrans_f(small, frame, &roi_out, &roi_in, width, request->frame_width,
                                                      (const uint8_t(*const)[6])image->buf_dsc.xtrans);
    else
      dt_iop_clip_and_zoom_mosaic_half_size_f(small, frame, &roi_out, &roi_in, width, request->frame_width,
                                              image->buf_dsc.filters);
    residual->small[part] = small;
  }
  else
    dt_free_align(small);
  dt_free_align(frame);
  return residual->small[part] != NULL;
}

static gboolean _make_small(nisp_residual_t *residual, const nisp_request_t *request, const dt_image_t *image,
                            const int width, const int height)
{
  if(residual->small[0] && residual->small[1] && residual->small_width == width && residual->small_height == height)
    return TRUE;
  for(int part = 0; part < 2; part++)
  {
    dt_free_align(residual->small[part]);
    residual->small[part] = NULL;
  }
  residual->small_width = width;
  residual->small_height = height;
  return _reduce(residual, 0, request, image, width, height) && _reduce(residual, 1, request, image, width, height);
}

gboolean nisp_residual_blend_small(nisp_residual_t *residual, const nisp_request_t *request,
                                   const dt_dev_pixelpipe_iop_t *piece, const nisp_weights_t weights, const float span,
                                   const float *const in, const dt_iop_roi_t *const roi_in, float *const out,
                                   const dt_iop_roi_t *const roi_out)
{
  const int width = piece->pipe->iwidth, height = piece->pipe->iheight;
  // where rawprepare cut the small mosaic
  const int top = (int)roundf(request->top / piece->iscale), left = (int)roundf(request->left / piece->iscale);
  const float scale = _scale(residual, weights, span);
  g_mutex_lock(&residual->lock);
  const gboolean good = _make_small(residual, request, &piece->pipe->image, width, height);
  for(int row = 0; good && row < roi_out->height; row++)
  {
    const float *from = in + (size_t)(roi_out->y + row - roi_in->y) * roi_in->width + (roi_out->x - roi_in->x);
    float *to = out + (size_t)row * roi_out->width;
    const size_t there = (size_t)MIN(roi_out->y + row + top, height - 1) * width;
    for(int column = 0; column < roi_out->width; column++)
    {
      const size_t place = there + MIN(roi_out->x + column + left, width - 1);
      to[column] = from[column]
                   - scale * (weights.luma * residual->small[0][place] + weights.chroma * residual->small[1][place]);
    }
  }
  g_mutex_unlock(&residual->lock);
  return good;
}
