// The words of the Kubernetes API: where objects live, and how a request to it ended.
//
// Pure: nothing here sends anything. Objects are JSON trees as the server sent them, because a
// client that keeps only the fields it knows cannot be trusted with an update.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/base/result.h"
#include "core/base/time.h"
#include "core/json/value.h"

namespace tepal::kube {

// A kind of object by its REST name: {"apps", "v1", "deployments", true}. The core group is "".
struct Resource {
  std::string group;
  std::string version;
  std::string plural;
  bool namespaced = true;
};

inline const Resource kNodes{"", "v1", "nodes", false};
inline const Resource kPods{"", "v1", "pods", true};
inline const Resource kConfigMaps{"", "v1", "configmaps", true};
inline const Resource kLeases{"coordination.k8s.io", "v1", "leases", true};
inline const Resource kEndpointSlices{"discovery.k8s.io", "v1", "endpointslices", true};
inline const Resource kDaemonSets{"apps", "v1", "daemonsets", true};

// The objects of one kind; of every namespace when `name_space` is empty.
struct Collection {
  Resource resource;
  std::string name_space;
};

// One object, or with a subresource ("status", "scale") a part of it.
struct ObjectRef {
  Resource resource;
  std::string name_space;  // Empty for what has none.
  std::string name;
  std::string subresource;
};

// "/apis/apps/v1/namespaces/default/deployments/web/scale". Segments are escaped.
std::string PathOf(const Collection& collection);
std::string PathOf(const ObjectRef& object);

// `text` as one part of a path or of a query.
std::string EscapeUrl(std::string_view text);

// How one request ended.
struct Answer {
  // Not OK: what the server said ("NotFound: nodes \"n1\" not found"), or why it said nothing.
  Status status;
  int http_status = 0;  // 0: no answer came.
  // The `reason` of the server's Status object: "NotFound", "Conflict", "AlreadyExists", "Expired",
  // "Forbidden", "Invalid", "TooManyRequests"; empty on success or when it gave none.
  std::string reason;
  std::optional<Duration> retry_after;  // What the server asked for.
  json::Value body;                     // The object, or the Status.

  bool ok() const { return status.ok(); }
  // The resource version is too old to go on from: list again.
  bool expired() const { return http_status == 410; }
};

// `retry_after_header` is the field's text, empty when absent.
Answer MakeAnswer(int http_status, std::string_view body, std::string_view retry_after_header);
Answer FailedAnswer(Status why);

// From an object {"kind":"Status",...}, as a watch sends it in an ERROR event.
Answer AnswerOfStatusObject(json::Value object);

// Fields that every object has; empty when absent.
std::string_view TextAt(const json::Value& object, std::string_view a, std::string_view b = {},
                        std::string_view c = {});
inline std::string_view NameOf(const json::Value& object) {
  return TextAt(object, "metadata", "name");
}
inline std::string_view NamespaceOf(const json::Value& object) {
  return TextAt(object, "metadata", "namespace");
}
inline std::string_view ResourceVersionOf(const json::Value& object) {
  return TextAt(object, "metadata", "resourceVersion");
}
// "namespace/name", or "name".
std::string KeyOf(const json::Value& object);

// metadata.labels[name], metadata.annotations[name]; null when absent.
const std::string* LabelOf(const json::Value& object, std::string_view name);
const std::string* AnnotationOf(const json::Value& object, std::string_view name);

}  // namespace tepal::kube
