#include "apps/diagnosis/cluster_view.h"

#include <memory>

#include "apps/diagnosis/json_tree.h"

namespace tepal::diagnosis {

// May the autoscaler's controller read the custom metrics of any pod?
constexpr std::string_view kHpaReview =
    R"({"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{)"
    R"("user":"system:serviceaccount:kube-system:horizontal-pod-autoscaler",)"
    R"("groups":["system:serviceaccounts","system:serviceaccounts:kube-system",)"
    R"("system:authenticated"],"resourceAttributes":{"group":"custom.metrics.k8s.io",)"
    R"("version":"v1beta1","resource":"pods","subresource":"avg_time_queue_us","verb":"get",)"
    R"("namespace":"default","name":"*"}}})";

const std::vector<ClusterQuery> kClusterQueries = {
    {"apiservices", "/apis/apiregistration.k8s.io/v1/apiservices", ""},
    {"horizontalpodautoscalers", "/apis/autoscaling/v2/horizontalpodautoscalers", ""},
    {"pods", "/api/v1/pods", ""},
    {"nodes", "/api/v1/nodes", ""},
    {"namespaces", "/api/v1/namespaces", ""},
    {"deployments", "/apis/apps/v1/deployments", ""},
    {"daemonsets", "/apis/apps/v1/daemonsets", ""},
    {"podmonitors", "/apis/monitoring.coreos.com/v1/podmonitors", ""},
    {"prometheuses", "/apis/monitoring.coreos.com/v1/prometheuses", ""},
    {"custom metrics", "/apis/custom.metrics.k8s.io/v1beta1", ""},
    {"rights of the autoscaler", "/apis/authorization.k8s.io/v1/subjectaccessreviews", kHpaReview},
};

const Fetched& ClusterView::Of(std::string_view name) const {
  static const Fetched kNone;
  const auto found = fetched.find(name);
  return found == fetched.end() ? kNone : found->second;
}

void ReadCluster(kube::Client& client, Function<void(ClusterView)> done) {
  struct Reading {
    ClusterView view;
    size_t open = 0;
    Function<void(ClusterView)> done;
  };
  auto reading = std::make_shared<Reading>();
  reading->open = kClusterQueries.size();
  reading->done = std::move(done);
  for (const ClusterQuery& query : kClusterQueries) {
    kube::Request request;
    request.method = query.body.empty() ? "GET" : "POST";
    request.path = query.path;
    request.body = query.body;
    client.Send(std::move(request), [reading, name = query.name](kube::Answer answer) {
      Fetched& fetched = reading->view.fetched[std::string(name)];
      fetched.http_status = answer.http_status;
      if (!answer.ok()) {
        const std::string_view said = JsonText(answer.body, "message");
        fetched.problem = said.empty() ? answer.status.message() : std::string(said);
      }
      for (const json::Value& item : JsonList(answer.body, "items")) fetched.items.push_back(item);
      fetched.body = std::move(answer.body);
      if (--reading->open == 0) reading->done(std::move(reading->view));
    });
  }
}

}  // namespace tepal::diagnosis
