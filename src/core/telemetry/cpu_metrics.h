// Triton's nv_cpu_* families: how busy the machine's processors are, and its memory.
//
// Of the whole machine, as Triton has them, from /proc/stat and /proc/meminfo; a container's limits
// are not seen. Read when the page is scraped, at most once an interval.

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/env/clock.h"
#include "core/env/file_system.h"
#include "core/telemetry/metrics.h"

namespace tepal::telemetry {

// `files` and `clock` outlive the registry's use. Families that cannot be read are left out.
void AddCpuMetrics(MetricsRegistry& registry, env::FileSystem& files, const env::Clock& clock,
                   Duration interval);

// What the two files say; nothing where they do not look as the kernel writes them.
struct CpuTicks {
  uint64_t busy = 0, total = 0;
};
std::optional<CpuTicks> ParseProcStat(std::string_view text);

struct MemoryBytes {
  uint64_t total = 0, available = 0;
};
std::optional<MemoryBytes> ParseMemInfo(std::string_view text);

}  // namespace tepal::telemetry
