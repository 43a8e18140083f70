// neural isp for darktable: what is asked of the helper, which files carry the answer, and how it stands.
// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <glib.h>
#include <limits.h>
#include <stdint.h>

struct dt_dev_pixelpipe_iop_t;

#define NISP_KEY_BYTES 41 // 40 hexadecimal digits and a zero

/** Which mosaic is to be restored by which model; rows before columns, in photosites. */
typedef struct nisp_request_t
{
  char key[NISP_KEY_BYTES]; // names the files of the answer
  int32_t imgid;
  char path[PATH_MAX]; // the RAW file
  char model[32];
  int top, left, height, width;  // the pipe's window in the sensor frame
  int frame_height, frame_width; // the sensor frame, masked borders included
  int period;                    // of the CFA: 2 or 6
  uint8_t cfa[36];               // 0 red, 1 green, 2 blue, row by row from the window's origin
  gboolean samples;              // the pipe's samples are not the file's: they go to the helper themselves
} nisp_request_t;

typedef enum nisp_state_t
{
  NISP_UNKNOWN = 0, // nobody has asked yet
  NISP_RUNNING,
  NISP_DONE,
  NISP_MISMATCH, // the server decodes the file to another mosaic; ask again with samples
  NISP_FAILED,
} nisp_state_t;

/** How a request stands, for people. */
typedef struct nisp_report_t
{
  nisp_state_t state;
  char text[512]; // running: the stage; done: model, noise and seconds; failed: what is wrong
} nisp_report_t;

/** Fills in the request of this pipe's image. FALSE where there is nothing to restore: no mosaic of red, green and blue,
    no file, or a pipe that is being rebuilt. */
gboolean nisp_request_fill(nisp_request_t *request, const struct dt_dev_pixelpipe_iop_t *piece, const char *model);

/** <cache>/hosts/<key>.<kind>; to be freed. */
char *nisp_request_file(const nisp_request_t *request, const char *kind);

/** Starts the helper in the background unless it runs or has failed a moment ago. samples: the window's, for a request
    that needs them, `stride` of them from row to row; they are written to a file here. */
void nisp_request_start(const nisp_request_t *request, const float *samples, size_t stride);

/** How the request stands after at most that long. */
nisp_report_t nisp_request_wait(const nisp_request_t *request, double seconds);

/** How it stands now; reads what an earlier run left. */
nisp_report_t nisp_request_report(const nisp_request_t *request);

/** Forgets a failure and removes what is kept, so that the next run asks anew. Nothing while the helper runs. */
void nisp_request_forget(const nisp_request_t *request);

/** The request that the darkroom's main pipe saw last; FALSE if none. */
gboolean nisp_request_current(nisp_request_t *request);
void nisp_request_set_current(const nisp_request_t *request);
