// The kinds of a cluster by any of their names, as kubectl and prometheus-adapter understand them.
//
// "pod", "pods" and "Pod" are pods; "deployment" without a group is deployments.apps. The kinds
// that every cluster has are built in; others come from its discovery documents. Immutable after it
// was filled; asks nobody.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.h"
#include "core/json/value.h"
#include "scaling/custom_metrics/metric_source.h"

namespace tepal::custom_metrics {

struct KindFacts {
  GroupResource resource;  // By its plural.
  std::string singular;    // "pod".
  std::string kind;        // "Pod".
  bool namespaced = true;
};

class KindTable {
 public:
  KindTable();  // With the built-in kinds.

  // A kind that is there already is replaced.
  void Add(KindFacts facts);

  // From an APIResourceList, as "/apis/GROUP/VERSION" answers; subresources are passed over.
  // kInvalidArgument when it is none.
  Status AddDiscovered(const json::Value& api_resource_list);

  // `name.resource` in any case and form. Without a group: of any group, the core group first. With
  // one: of that, or of the first that begins with it. Null: there is no such kind.
  const KindFacts* Find(const GroupResource& name) const;

 private:
  std::vector<KindFacts> kinds_;
};

// What a kind nobody has heard of is probably called: "brand" is "brands", "policy" "policies".
std::string GuessPlural(std::string_view singular);

}  // namespace tepal::custom_metrics
