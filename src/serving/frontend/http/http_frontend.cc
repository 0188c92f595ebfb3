#include "serving/frontend/http/http_frontend.h"

#include <utility>

#include "core/base/text.h"
#include "network/http/body_collector.h"
#include "network/http/status_map.h"
#include "serving/frontend/http/body_json.h"
#include "serving/frontend/http/generate_exchange.h"
#include "serving/frontend/http/infer_exchange.h"
#include "serving/frontend/http/log_settings.h"
#include "serving/frontend/http/model_json.h"
#include "serving/frontend/http/repository_control.h"
#include "serving/frontend/http/routes.h"
#include "serving/frontend/http/shared_memory_routes.h"
#include "serving/frontend/model_version_text.h"

namespace tepal {
namespace {

constexpr char kJson[] = "application/json";
constexpr char kText[] = "text/plain";

void RespondText(http::ResponseSender& sender, std::string_view type, std::string_view text) {
  http::ResponseHead head;
  head.headers.Add("content-type", type);
  BufferList body;
  if (!text.empty()) body.push_back(Buffer::Copy(text));
  sender.Respond(std::move(head), std::move(body));
}

// Without a body, also when the answer is no.
void RespondHealth(bool good, http::ResponseSender& sender) {
  http::ResponseHead head;
  head.status = good ? 200 : 400;
  head.headers.Add("content-type", kText);
  sender.Respond(std::move(head), {});
}

// Answers once the request has come to its end; whatever body it has is thrown away.
class Bodiless final : public http::RequestReceiver {
 public:
  explicit Bodiless(Function<void()> answer) : answer_(std::move(answer)) {}
  std::span<std::byte> BodyRoom(size_t) override { return waste_; }
  void OnBody(size_t) override {}
  void OnRequestEnd(const http::Headers&) override { answer_(); }
  void OnReset(const Status&) override {}

 private:
  Function<void()> answer_;
  std::byte waste_[1024];
};

class HttpFrontend final : public http::RequestHandler {
 public:
  HttpFrontend(ServerCore& core, env::EventLoop& loop, env::Executor& blocking,
               const HttpFrontendOptions& options)
      : core_(core),
        loop_(loop),
        options_(options),
        model_loads_(core),
        infer_door_{core, loop, options_, std::make_shared<CompletionQueue>(loop), model_loads_},
        control_door_{core, loop, blocking, options_.body_bytes_max} {}

  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override;

 private:
  Status Answer(const Route& route, http::ResponseSender& sender);
  Status AnswerStatistics(const Route& route, int64_t version, http::ResponseSender& sender);
  Status AnswerIndex(std::string_view body, http::ResponseSender& sender);
  // POST: `body` holds the changes; GET: null.
  Status AnswerTrace(const Route& route, const std::string_view* body,
                     http::ResponseSender& sender);
  Status AnswerWithBody(const Route& route, std::string_view body, http::ResponseSender& sender);

  ServerCore& core_;
  env::EventLoop& loop_;
  const HttpFrontendOptions options_;
  ModelLoadReporter model_loads_;
  const InferExchange::Door infer_door_;
  const ModelControlDoor control_door_;
};

std::unique_ptr<http::RequestReceiver> HttpFrontend::OnRequest(http::RequestHead head,
                                                               http::ResponseSender& sender) {
  Route route = ParseRoute(head.path());
  const std::string_view method = RouteMethod(route.kind);
  if (route.kind == Route::Kind::kUnknown) {
    return std::make_unique<Bodiless>([&sender] { http::RespondError(sender, 404, "Not Found"); });
  }
  if (const RestrictedApis::Secret* secret = options_.restricted.Find(RouteGroup(route.kind));
      secret != nullptr && !RestrictedApis::Opens(*secret, head.headers.Get(secret->field))) {
    return std::make_unique<Bodiless>([&sender, secret] {
      constexpr int kForbidden = 403;
      http::RespondError(sender, kForbidden,
                         Concat("This API is restricted, expecting header '", secret->header, "'"));
    });
  }
  const bool allowed =
      method.empty() ? head.method == "GET" || head.method == "POST" : head.method == method;
  if (!allowed) {
    return std::make_unique<Bodiless>(
        [&sender] { http::RespondError(sender, 405, "Method Not Allowed"); });
  }
  const bool generates =
      route.kind == Route::Kind::kGenerate || route.kind == Route::Kind::kGenerateStream;
  if (route.kind == Route::Kind::kInfer || generates) {
    const Result<int64_t> version = ParseModelVersion(route.version);
    if (!version.ok()) {
      return std::make_unique<Bodiless>(
          [&sender, status = version.status()] { http::RespondError(sender, status); });
    }
    if (generates) {
      return std::make_unique<GenerateExchange>(infer_door_, std::move(route), *version, head,
                                                sender);
    }
    return std::make_unique<InferExchange>(infer_door_, std::move(route.model), *version, head,
                                           sender);
  }
  if (route.kind == Route::Kind::kLoad || route.kind == Route::Kind::kUnload) {
    return ControlModel(control_door_, route.kind == Route::Kind::kLoad, std::move(route.model),
                        head, sender);
  }
  if (head.method == "POST") {
    return std::make_unique<http::CollectingRequest>(
        head, options_.body_bytes_max, sender,
        [this, &sender, route = std::make_unique<Route>(std::move(route))](Buffer body) {
          if (const Status status = AnswerWithBody(*route, body.text(), sender); !status.ok()) {
            http::RespondError(sender, status);
          }
        });
  }
  return std::make_unique<Bodiless>(
      [this, &sender, route = std::make_unique<Route>(std::move(route))] {
        if (const Status status = Answer(*route, sender); !status.ok()) {
          http::RespondError(sender, status);
        }
      });
}

Status HttpFrontend::Answer(const Route& route, http::ResponseSender& sender) {
  ASSIGN_OR_RETURN(const int64_t version, ParseModelVersion(route.version));
  switch (route.kind) {
    case Route::Kind::kLive:
      RespondHealth(core_.Live(), sender);
      return {};
    case Route::Kind::kReady:
      RespondHealth(core_.Ready(), sender);
      return {};
    case Route::Kind::kServerMetadata:
      RespondText(sender, kJson,
                  ServerMetadataJson(options_.server_id, options_.server_version,
                                     options_.shared_memory != nullptr));
      return {};
    case Route::Kind::kModelReady:
      if (!core_.Find(route.model, version).ok()) return InvalidArgument("Model version not ready");
      RespondHealth(true, sender);
      return {};
    case Route::Kind::kModelMetadata: {
      ASSIGN_OR_RETURN(const ModelMetadata metadata, core_.Metadata(route.model, version));
      RespondText(sender, kJson, ModelMetadataJson(metadata));
      return {};
    }
    case Route::Kind::kModelConfig: {
      ASSIGN_OR_RETURN(const auto model, core_.Find(route.model, version));
      RespondText(sender, kJson, model->config().json);
      return {};
    }
    case Route::Kind::kModelStatistics:
    case Route::Kind::kAllStatistics:
      return AnswerStatistics(route, version, sender);
    case Route::Kind::kTrace:
      return AnswerTrace(route, nullptr, sender);
    case Route::Kind::kLogging:
      RespondText(sender, kJson, LogSettingsJson());
      return {};
    case Route::Kind::kLoadReport:
      RespondText(sender, kJson, model_loads_.Json(loop_.Now()));
      return {};
    default: {
      ASSIGN_OR_RETURN(const std::string text,
                       AnswerSharedMemory(options_.shared_memory, route, {}));
      RespondText(sender, kJson, text);
      return {};
    }
  }
}

Status HttpFrontend::AnswerWithBody(const Route& route, std::string_view body,
                                    http::ResponseSender& sender) {
  if (route.kind == Route::Kind::kIndex) return AnswerIndex(body, sender);
  if (route.kind == Route::Kind::kTrace) return AnswerTrace(route, &body, sender);
  std::string text;
  if (route.kind == Route::Kind::kLogging) {
    RETURN_IF_ERROR(UpdateLogSettings(body));
    text = LogSettingsJson();
  } else {
    ASSIGN_OR_RETURN(text, AnswerSharedMemory(options_.shared_memory, route, body));
  }
  RespondText(sender, kJson, text);
  return {};
}

Status HttpFrontend::AnswerTrace(const Route& route, const std::string_view* body,
                                 http::ResponseSender& sender) {
  if (!route.model.empty() && core_.Served(route.model).empty()) {
    return InvalidArgument(Concat("Request for unknown model : ", route.model));
  }
  if (body != nullptr) {
    ASSIGN_OR_RETURN(const json::Value parsed, ParseBodyJson(*body));
    RETURN_IF_ERROR(options_.trace->Update(route.model, parsed));
  }
  RespondText(sender, kJson, options_.trace->Json(route.model));
  return {};
}

Status HttpFrontend::AnswerStatistics(const Route& route, int64_t version,
                                      http::ResponseSender& sender) {
  const auto models = core_.Served(route.model, version);
  if (!route.model.empty() && models.empty()) {
    if (version != -1 && !core_.Served(route.model, -1).empty()) {
      return InvalidArgument(
          Concat("requested model version is not available for model '", route.model, "'"));
    }
    return InvalidArgument(Concat("requested model '", route.model, "' is not available"));
  }
  RespondText(sender, kJson, StatisticsJson(models));
  return {};
}

Status HttpFrontend::AnswerIndex(std::string_view body, http::ResponseSender& sender) {
  bool ready_only = false;
  if (!body.empty()) {
    ASSIGN_OR_RETURN(const json::Value parsed, ParseBodyJson(body));
    if (const json::Value* ready = parsed.Find("ready"); ready != nullptr) {
      if (ready->AsBool() == nullptr) {
        return InvalidArgument(
            "Unable to parse 'ready': attempt to access JSON non-boolean as boolean");
      }
      ready_only = *ready->AsBool();
    }
  }
  ASSIGN_OR_RETURN(const std::vector<ModelIndexEntry> entries, core_.Index(ready_only));
  RespondText(sender, kJson, IndexJson(entries));
  return {};
}

}  // namespace

std::unique_ptr<http::RequestHandler> NewHttpFrontend(ServerCore& core, env::EventLoop& loop,
                                                      env::Executor& blocking,
                                                      const HttpFrontendOptions& options) {
  return std::make_unique<HttpFrontend>(core, loop, blocking, options);
}

}  // namespace tepal
