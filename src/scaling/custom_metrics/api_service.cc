#include "scaling/custom_metrics/api_service.h"

#include <algorithm>

#include "core/base/base64.h"
#include "core/base/text.h"
#include "core/json/writer.h"
#include "network/kube/api.h"

namespace tepal::custom_metrics {
namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE-----";

std::vector<std::string> Certificates(std::string_view bundle) {
  std::vector<std::string> list;
  for (size_t at = 0; (at = bundle.find(kBegin, at)) != std::string_view::npos;) {
    const size_t end = bundle.find(kEnd, at);
    if (end == std::string_view::npos) break;
    list.emplace_back(bundle.substr(at, end + kEnd.size() - at));
    at = end;
  }
  return list;
}

// The newer version of a group is asked first.
int VersionPriority(std::string_view version) { return version == "v1beta2" ? 200 : 100; }

void WriteService(json::Writer& out, const ApiServiceWish& wish) {
  out.Key("service").BeginObject().Key("name").String(wish.service);
  out.Key("namespace").String(wish.name_space).Key("port").Int(wish.port).EndObject();
}

std::string NewObject(const ApiServiceWish& wish) {
  json::Writer out;
  out.BeginObject().Key("apiVersion").String("apiregistration.k8s.io/v1");
  out.Key("kind").String("APIService");
  out.Key("metadata").BeginObject().Key("name").String(wish.name()).EndObject();
  out.Key("spec").BeginObject();
  WriteService(out, wish);
  out.Key("group").String(wish.group).Key("version").String(wish.version);
  out.Key("groupPriorityMinimum").Int(100);
  out.Key("versionPriority").Int(VersionPriority(wish.version));
  if (!wish.ca.empty()) out.Key("caBundle").String(EncodeBase64(MergeBundles("", wish.ca)));
  out.EndObject().EndObject();
  return out.Take();
}

// With the resourceVersion, so that of two who patch at once the second looks again.
std::string Patch(const json::Value& present, const ApiServiceWish& wish, std::string_view bundle,
                  bool with_service) {
  json::Writer out;
  out.BeginObject().Key("metadata").BeginObject();
  out.Key("resourceVersion").String(kube::ResourceVersionOf(present)).EndObject();
  out.Key("spec").BeginObject();
  if (with_service) WriteService(out, wish);
  if (!bundle.empty()) {
    out.Key("caBundle").String(EncodeBase64(bundle));
    out.Key("insecureSkipTLSVerify").Null();
  }
  out.EndObject().EndObject();
  return out.Take();
}

}  // namespace

std::string MergeBundles(std::string_view present, std::string_view ours) {
  std::vector<std::string> list = Certificates(present);
  for (const std::string& one : Certificates(ours)) {
    if (std::find(list.begin(), list.end(), one) == list.end()) list.push_back(one);
  }
  if (list.size() > kBundleMax) {
    list.erase(list.begin(), list.end() - static_cast<std::ptrdiff_t>(kBundleMax));
  }
  std::string bundle;
  for (const std::string& one : list) bundle += one + "\n";
  return bundle;
}

ApiServiceStep Decide(const json::Value* present, const ApiServiceWish& wish) {
  using Kind = ApiServiceStep::Kind;
  if (present == nullptr) {
    if (wish.register_missing) return {Kind::kCreate, NewObject(wish), ""};
    return {Kind::kMissing, "",
            Concat("there is no APIService ", wish.name(),
                   ": apply one, or give --register-apiservices")};
  }
  const std::string owner_namespace(kube::TextAt(*present, "spec", "service", "namespace"));
  const std::string owner(kube::TextAt(*present, "spec", "service", "name"));
  const bool ours = owner_namespace == wish.name_space && owner == wish.service;
  if (!ours && !wish.take_over) {
    const std::string whose = owner.empty()
                                  ? std::string("is served by the API server itself")
                                  : Concat("belongs to Service ", owner_namespace, "/", owner);
    return {Kind::kRefused, "",
            Concat("APIService ", wish.name(), " ", whose, " and not to ", wish.name_space, "/",
                   wish.service, "; it is left alone (--take-over-apiservices takes it)")};
  }
  const std::string before =
      DecodeBase64(kube::TextAt(*present, "spec", "caBundle")).value_or(std::string());
  // Another server's authorities are not kept.
  const std::string bundle =
      wish.ca.empty() ? std::string() : MergeBundles(ours ? before : std::string(), wish.ca);
  const std::vector<std::string> known = Certificates(before);
  const std::vector<std::string> wanted = Certificates(wish.ca);
  const bool all_known = std::all_of(wanted.begin(), wanted.end(), [&](const std::string& one) {
    return std::find(known.begin(), known.end(), one) != known.end();
  });
  if (ours && all_known) return {};
  return {Kind::kPatch, Patch(*present, wish, bundle, !ours), ""};
}

}  // namespace tepal::custom_metrics
