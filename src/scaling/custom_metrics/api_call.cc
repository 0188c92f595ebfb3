#include "scaling/custom_metrics/api_call.h"

#include <algorithm>

#include "core/base/text.h"
#include "core/telemetry/log.h"
#include "network/http/body_collector.h"
#include "scaling/custom_metrics/health_checks.h"
#include "scaling/custom_metrics/value_lists.h"

namespace tepal::custom_metrics {
namespace {

using Kind = ApiRequest::Kind;

constexpr char kJson[] = "application/json";
constexpr char kText[] = "text/plain; charset=utf-8";

// Shared by the receiver and by the answers on their way, which hold it weakly or see it closed.
class Call final : public std::enable_shared_from_this<Call> {
 public:
  Call(std::weak_ptr<ApiHost> host, http::RequestHead head,
       std::shared_ptr<const net::PeerCertificates> shown, http::ResponseSender& sender)
      : host_(std::move(host)),
        head_(std::move(head)),
        shown_(std::move(shown)),
        sender_(&sender) {}
  ~Call() { Close(0); }

  void Begin() {
    const std::shared_ptr<ApiHost> host = host_.lock();
    if (host == nullptr) return Refuse(UnavailableError("the server is stopping"));
    Result<ApiRequest> parsed = ParseApiRequest(head_.method, head_.target);
    if (!parsed.ok()) return Refuse(BadRequestError(parsed.status().message()));
    request_ = *std::move(parsed);
    counted_ = request_.kind != Kind::kHealth;
    if (!host->Enter(counted_)) return Refuse(TooManyRequestsError());
    entered_ = true;
    StartTimer(*host);
    host->parts().authenticator.Authenticate(
        {head_.headers, shown_},
        [self = shared_from_this()](Result<User> user) { self->OnUser(std::move(user)); });
  }

  // The exchange is over before its time.
  void Cancel() { Close(0); }

 private:
  std::shared_ptr<ApiHost> Host() const { return sender_ == nullptr ? nullptr : host_.lock(); }

  void StartTimer(ApiHost& host) {
    timer_ =
        host.parts().loop.RunAfter(host.settings().request_time_max, [weak = weak_from_this()] {
          const auto self = weak.lock();
          if (self == nullptr) return;
          self->timer_ = 0;
          self->Refuse(TimeoutError());
        });
  }

  void Close(int http_status) {
    sender_ = nullptr;
    const std::shared_ptr<ApiHost> host = host_.lock();
    if (!entered_ || host == nullptr) return;
    entered_ = false;
    host->Leave(counted_, http_status);
    if (timer_ != 0) host->parts().loop.Cancel(std::exchange(timer_, 0));
  }

  void Answer(int code, std::string_view type, std::string_view text, int retry_after_s = 0) {
    if (sender_ == nullptr) return;
    http::ResponseHead head;
    head.status = code;
    head.headers.Add("content-type", type);
    head.headers.Add("cache-control", "no-cache, private");
    if (code == 403) head.headers.Add("x-content-type-options", "nosniff");
    if (retry_after_s > 0) head.headers.Add("retry-after", Concat(retry_after_s));
    BufferList body;
    body.push_back(Buffer::Copy(text));
    http::ResponseSender& sender = *sender_;
    Close(code);
    sender.Respond(std::move(head), std::move(body));
  }
  void AnswerJson(const std::string& text) { Answer(200, kJson, text); }
  void Refuse(const ApiError& error) {
    Answer(error.code, kJson, error.Text(), error.retry_after_s);
  }

  void OnUser(Result<User> user) {
    const std::shared_ptr<ApiHost> host = Host();
    if (host == nullptr) return Refuse(UnavailableError("the server is stopping"));
    if (!user.ok()) {
      telemetry::LogVerbose(1, Concat(head_.method, " ", head_.target,
                                      ": not authenticated: ", user.status().message()));
      return Refuse(ErrorOf(user.status()));
    }
    user_ = *std::move(user);
    host->parts().authorizer.Authorize(user_, request_.attributes,
                                       [self = shared_from_this()](Result<Decision> decision) {
                                         self->OnDecision(std::move(decision));
                                       });
  }

  void OnDecision(Result<Decision> decision) {
    const std::shared_ptr<ApiHost> host = Host();
    if (host == nullptr) return Refuse(UnavailableError("the server is stopping"));
    if (!decision.ok()) return Refuse(ErrorOf(decision.status()));
    if (!decision->allowed) {
      return Refuse(ForbiddenError(user_.name, request_.attributes, decision->reason));
    }
    if (head_.method != "GET" && head_.method != "HEAD") {
      return Refuse(request_.kind == Kind::kUnknown ? PathNotFoundError() : MethodError());
    }
    Serve(*host);
  }

  void Serve(ApiHost& host) {
    const bool external = host.settings().external;
    if (!external && request_.group == kExternalGroup) return Refuse(PathNotFoundError());
    switch (request_.kind) {
      case Kind::kUnknown:
        return Refuse(PathNotFoundError());
      case Kind::kHealth:
        return ServeHealth(host);
      case Kind::kVersion:
        return AnswerJson(VersionText(host.settings().version));
      case Kind::kMetrics:
        return Answer(200, "text/plain; version=0.0.4", host.parts().metrics.Text());
      case Kind::kRoot:
        return AnswerJson(PathsText(external));
      case Kind::kOpenApiV2:
        return AnswerJson(OpenApiV2Text(external));
      case Kind::kOpenApiV3Index:
        return AnswerJson(OpenApiV3IndexText(external));
      case Kind::kOpenApiV3:
        return AnswerJson(OpenApiV3Text(request_.group, request_.version));
      default:
        return ServeApi(host);
    }
  }

  void ServeHealth(ApiHost& host) {
    const HealthAnswer answer = AnswerHealth(request_, host.Checks(request_.name));
    Answer(answer.code, kText, answer.text);
  }

  void ServeApi(ApiHost& host) {
    const auto accept = head_.headers.Get("accept").value_or("");
    const auto type = Negotiate(accept, request_.kind == Kind::kGroups);
    if (!type) return Refuse(NotAcceptableError());
    if (request_.kind == Kind::kGroups) return ServeGroups(host, *type);
    if (request_.kind == Kind::kGroup) return AnswerJson(GroupText(request_.group));
    if (request_.kind == Kind::kResources) {
      return AnswerJson(ResourcesText(request_.group, request_.version, CatalogOf(host)));
    }
    // Selectors are read before anything is asked for.
    auto labels = LabelSelector::Parse(request_.label_selector);
    auto metric = LabelSelector::Parse(request_.metric_selector);
    if (!labels.ok()) return Refuse(BadRequestError(labels.status().message()));
    if (!metric.ok()) return Refuse(BadRequestError(metric.status().message()));
    labels_ = *std::move(labels);
    metric_labels_ = *std::move(metric);
    if (request_.kind == Kind::kExternal) return ServeExternal(host);
    host.parts().objects.FindKind(
        request_.resource,
        [self = shared_from_this()](Result<ObjectKind> kind) { self->OnKind(std::move(kind)); });
  }

  Catalog CatalogOf(ApiHost& host) const {
    Catalog made;
    made.with_external = host.settings().external;
    made.objects = host.parts().source.ObjectMetrics();
    if (made.with_external) made.external = host.parts().source.ExternalMetrics();
    return made;
  }

  void ServeGroups(ApiHost& host, MediaType type) {
    if (type == MediaType::kJson) return AnswerJson(GroupsText(host.settings().external));
    const std::string_view version = type == MediaType::kAggregatedV2 ? "v2" : "v2beta1";
    Answer(200, Concat(kJson, ";g=apidiscovery.k8s.io;v=", version, ";as=APIGroupDiscoveryList"),
           AggregatedText(version, CatalogOf(host)));
  }

  void ServeExternal(ApiHost& host) {
    host.parts().source.GetExternalValues(
        {request_.metric, request_.name_space, request_.label_selector},
        [self = shared_from_this()](Result<std::vector<ExternalValue>> values) {
          if (values.ok()) {
            return self->AnswerJson(ExternalValuesText(self->request_.metric, *values));
          }
          self->Refuse(values.status().code() == StatusCode::kNotFound
                           ? ExternalMetricNotFoundError(self->request_.metric)
                           : ErrorOf(values.status()));
        });
  }

  void OnKind(Result<ObjectKind> kind) {
    const std::shared_ptr<ApiHost> host = Host();
    if (host == nullptr) return Refuse(UnavailableError("the server is stopping"));
    if (!kind.ok() && kind.status().code() != StatusCode::kNotFound) {
      return Refuse(ErrorOf(kind.status()));
    }
    if (!kind.ok() || kind->namespaced == request_.name_space.empty()) return NoSuchMetric();
    kind_ = *std::move(kind);
    if (!request_.all_objects()) return AskSource(*host, {request_.name});
    host->parts().objects.FindNames(
        kind_, request_.name_space, labels_,
        [self = shared_from_this()](Result<std::vector<std::string>> names) {
          self->OnNames(std::move(names));
        });
  }

  MetricInfo Metric() const { return {kind_.resource, kind_.namespaced, request_.metric}; }

  void OnNames(Result<std::vector<std::string>> names) {
    const std::shared_ptr<ApiHost> host = Host();
    if (host == nullptr) return Refuse(UnavailableError("the server is stopping"));
    if (!names.ok()) return Refuse(ErrorOf(names.status()));
    if (!names->empty()) return AskSource(*host, *std::move(names));
    // Nobody is meant: there is nothing to ask but whether there is such a metric.
    if (const Status health = host->parts().source.Health(); !health.ok()) {
      return Refuse(UnavailableError(health.message()));
    }
    const std::vector<MetricInfo> known = host->parts().source.ObjectMetrics();
    if (!std::binary_search(known.begin(), known.end(), Metric())) return NoSuchMetric();
    OnValues(std::vector<ObjectValue>());
  }

  void AskSource(ApiHost& host, std::vector<std::string> names) {
    host.parts().source.GetValues(
        {Metric(), request_.name_space, std::move(names), request_.metric_selector},
        [self = shared_from_this()](Result<std::vector<ObjectValue>> values) {
          self->OnValues(std::move(values));
        });
  }

  void OnValues(Result<std::vector<ObjectValue>> values) {
    if (!values.ok()) {
      return values.status().code() == StatusCode::kNotFound ? NoSuchMetric()
                                                             : Refuse(ErrorOf(values.status()));
    }
    if (values->empty() && !request_.all_objects()) {
      return Refuse(MetricNotFoundError(request_.resource, request_.metric, request_.name));
    }
    AnswerJson(ObjectValuesText(request_.version, kind_, request_.name_space, request_.metric,
                                metric_labels_, *values));
  }

  void NoSuchMetric() { Refuse(MetricNotFoundError(request_.resource, request_.metric)); }

  const std::weak_ptr<ApiHost> host_;
  const http::RequestHead head_;
  const std::shared_ptr<const net::PeerCertificates> shown_;
  http::ResponseSender* sender_;  // Null: answered, or nobody waits any more.
  ApiRequest request_;
  bool counted_ = false;
  bool entered_ = false;
  env::EventLoop::TimerId timer_ = 0;
  User user_;
  LabelSelector labels_, metric_labels_;
  ObjectKind kind_;
};

// A body is read and thrown away: no request that is served has one.
class CallReceiver final : public http::RequestReceiver {
 public:
  explicit CallReceiver(std::shared_ptr<Call> call) : call_(std::move(call)) {}
  ~CallReceiver() override { call_->Cancel(); }

  std::span<std::byte> BodyRoom(size_t) override { return waste_; }
  void OnBody(size_t) override {}
  void OnRequestEnd(const http::Headers&) override { call_->Begin(); }
  void OnReset(const Status&) override { call_->Cancel(); }

 private:
  const std::shared_ptr<Call> call_;
  std::byte waste_[1024];
};

}  // namespace

std::unique_ptr<http::RequestReceiver> NewApiCall(
    std::weak_ptr<ApiHost> host, http::RequestHead head,
    std::shared_ptr<const net::PeerCertificates> shown, http::ResponseSender& sender) {
  return std::make_unique<CallReceiver>(
      std::make_shared<Call>(std::move(host), std::move(head), std::move(shown), sender));
}

}  // namespace tepal::custom_metrics
