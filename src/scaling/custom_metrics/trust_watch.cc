#include "scaling/custom_metrics/trust_watch.h"

#include "core/base/text.h"
#include "core/telemetry/log.h"

namespace tepal::custom_metrics {
namespace {

constexpr char kNamespace[] = "kube-system";
constexpr char kName[] = "extension-apiserver-authentication";

}  // namespace

TrustWatch::TrustWatch(env::EventLoop& loop, kube::Client* client, env::Random& random)
    : loop_(loop), client_(client), random_(random) {}

TrustWatch::~TrustWatch() = default;

Status TrustWatch::Start(TrustConfig flags) {
  RETURN_IF_ERROR(SetFlags(std::move(flags)));
  if (client_ == nullptr) return {};
  trouble_ = Unavailable(Concat("ConfigMap ", kNamespace, "/", kName, " has not been read yet"));
  // By name, which is all that the role extension-apiserver-authentication-reader allows.
  informer_ = std::make_unique<kube::Informer>(
      loop_, *client_, random_, kube::Collection{kube::kConfigMaps, kNamespace},
      kube::Selectors{"", Concat("metadata.name=", kName)}, kube::Reflector::Options{});
  kube::Informer::Calls calls;
  calls.on_change = [this](const kube::Change& change) { OnConfigMap(change); };
  calls.on_trouble = [this](const Status& why) {
    Status said = Status(why).WithContext(Concat("reading ConfigMap ", kNamespace, "/", kName));
    if (said.message() != trouble_.message()) telemetry::LogWarning(said.message());
    trouble_ = std::move(said);
  };
  informer_->Start(std::move(calls));
  return {};
}

Status TrustWatch::SetFlags(TrustConfig flags) {
  flags_ = std::move(flags);
  if (client_ == nullptr) cluster_.emplace();
  if (cluster_.has_value()) return Apply();
  // Wrong files are found at once, whatever the cluster will say.
  const auto checked = MakeTrust(flags_);
  return checked.status();
}

Status TrustWatch::Health() const { return trust_ != nullptr ? Status() : trouble_; }

void TrustWatch::OnConfigMap(const kube::Change& change) {
  if (change.kind == kube::Change::Kind::kDeleted) {
    // It is made again by the API server; meanwhile nobody has changed what to trust.
    telemetry::LogWarning(Concat("ConfigMap ", change.key, " is gone; what it said stays"));
    return;
  }
  Result<TrustConfig> read = ParseTrustConfig(*change.object);
  const std::optional<TrustConfig> before = cluster_;
  if (read.ok()) cluster_ = *std::move(read);
  const Status applied = read.ok() ? Apply() : read.status();
  if (!applied.ok()) {
    cluster_ = before;
    trouble_ = Status(applied).WithContext(Concat("ConfigMap ", change.key));
    telemetry::LogError(trouble_.message());
  }
}

Status TrustWatch::Apply() {
  TrustConfig merged = Merge(*cluster_, flags_);
  if (trust_ != nullptr && trust_->config == merged) return {};
  ASSIGN_OR_RETURN(std::shared_ptr<const Trust> made, MakeTrust(std::move(merged)));
  if (trust_ != nullptr) telemetry::LogInfo("The authorities that clients are checked by changed");
  trust_ = std::move(made);
  return {};
}

}  // namespace tepal::custom_metrics
