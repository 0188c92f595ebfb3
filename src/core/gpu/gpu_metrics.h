// What the GPUs themselves say of their load, as metrics: Triton's nv_gpu_* families.
//
// Read through NVML when the page is scraped, at most once an interval. What a device does not tell
// is left out: a MIG slice tells its memory, but neither its load nor its power. For those the
// server counts the busy time of its model instances (tepal_instance_busy_us).

#pragma once

#include "core/env/clock.h"
#include "core/gpu/gpus.h"
#include "core/telemetry/metrics.h"

namespace tepal::gpu {

// `gpus` and `clock` outlive the registry's use. Without GPUs or NVML nothing is written; why not
// is logged once when there are GPUs. The energy counts from this call.
void AddGpuMetrics(telemetry::MetricsRegistry& registry, Gpus& gpus, const env::Clock& clock,
                   Duration interval, const char* library = "libnvidia-ml.so.1");

}  // namespace tepal::gpu
