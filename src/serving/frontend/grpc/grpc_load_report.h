// Load reports of gRPC calls: trailers, as gRPC's proposal A51 has them.
//
// The trailer endpoint-load-metrics-bin carries an OrcaLoadReport, which the balancing policies of
// gRPC's libraries (weighted_round_robin) and of Envoy read. A client cannot ask those for it, so
// the server may be told to report on every call; one that sends endpoint-load-metrics-format: bin,
// text or json is told in that form on its call alone, text and json in endpoint-load-metrics as
// over HTTP.

#pragma once

#include <optional>

#include "network/http/message.h"
#include "serving/frontend/load_report.h"

namespace tepal {

class GrpcLoadReport {
 public:
  // `reporter` may be null: nobody is told. `always`: also who does not ask.
  GrpcLoadReport(LoadReporter* reporter, bool always, const http::Headers& request);

  // The trailers of an answer sent at `now`; null when there are none. Good until the next call.
  const http::Headers* Trailers(Instant now);

 private:
  LoadReporter* reporter_;                  // Null: not reported.
  std::optional<LoadReportFormat> format_;  // None: binary.
  std::optional<http::Headers> trailers_;
};

}  // namespace tepal
