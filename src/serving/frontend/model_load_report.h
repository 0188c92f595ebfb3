// What a balancer that asks is told with every answer: how loaded this server is with the model
// (serving/kserve_wire/model_load.h has the words), and all models at once for its probe.
//
// Who does not ask sees nothing of it. Telling reads a few counters and allocates nothing. Unlike
// the ORCA report (load_report.h), which speaks of the process in rates, this says when one more
// request would be served. Thread-safe; shared by the doors of every loop.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "network/http/headers.h"
#include "serving/kserve_wire/model_load.h"
#include "serving/server_core/server_core.h"

namespace tepal {

bool AsksModelLoad(const http::Headers& request);

class ModelLoadReporter {
 public:
  static constexpr Duration kAllAge = 20ms;  // Of the count over several models.

  explicit ModelLoadReporter(ServerCore& core) : core_(core) {}

  // Of a model that is just answering a request, which is no longer counted.
  ModelLoad Answering(const ServedModel& model, Instant now);

  // Adds the field to `headers`.
  void Add(const ServedModel& model, Instant now, http::Headers& headers);

  // The answer to GET /v2/tepal/load.
  std::string Json(Instant now);

 private:
  static ModelLoad Load(const ServedModel& model, const WorkSnapshot& work);
  int64_t InFlightOfAll(Instant now);

  ServerCore& core_;
  std::atomic<int64_t> counted_at_{INT64_MIN};
  std::atomic<int64_t> counted_{0};
};

}  // namespace tepal
