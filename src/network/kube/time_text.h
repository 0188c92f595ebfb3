// Times as the API writes them: RFC 3339, in UTC.

#pragma once

#include <string>

#include "core/base/time.h"

namespace tepal::kube {

std::string TimeText(WallTime time);       // "2026-01-02T03:04:05Z"
std::string MicroTimeText(WallTime time);  // "2026-01-02T03:04:05.000006Z"

}  // namespace tepal::kube
