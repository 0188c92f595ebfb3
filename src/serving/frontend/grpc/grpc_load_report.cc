#include "serving/frontend/grpc/grpc_load_report.h"

#include "network/http/grpc.h"

namespace tepal {

GrpcLoadReport::GrpcLoadReport(LoadReporter* reporter, bool always, const http::Headers& request)
    : reporter_(reporter) {
  if (reporter_ == nullptr) return;
  const auto asked = request.Get("endpoint-load-metrics-format");
  format_ = AskedLoadReport(asked);
  if (!always && !format_.has_value() && !AsksBinaryLoadReport(asked)) reporter_ = nullptr;
}

const http::Headers* GrpcLoadReport::Trailers(Instant now) {
  if (reporter_ == nullptr) return nullptr;
  trailers_.emplace();
  if (format_.has_value()) {
    trailers_->Add("endpoint-load-metrics", reporter_->Text(*format_, now));
  } else {
    http::AddBinaryMetadata("endpoint-load-metrics-bin", reporter_->Binary(now), *trailers_);
  }
  return &*trailers_;
}

}  // namespace tepal
