#include "scaling/custom_metrics/page_reading.h"

#include <gtest/gtest.h>

namespace tepal::custom_metrics {
namespace {

TEST(PageReading, ReadsAServersPage) {
  const auto page = telemetry::ParsePrometheusText(R"(# TYPE nv_inference_request_success counter
nv_inference_request_success{model="a",version="1"} 10
nv_inference_request_success{model="b",version="2"} 3
nv_inference_request_failure{model="a",reason="REJECTED",version="1"} 1
nv_inference_request_failure{model="a",reason="OTHER",version="1"} 2
nv_inference_queue_duration_us{model="a",version="1"} 500
nv_inference_compute_input_duration_us{model="a",version="1"} 1
nv_inference_compute_infer_duration_us{model="a",version="1"} 20
nv_inference_compute_output_duration_us{model="a",version="1"} 300
nv_inference_exec_count{model="a",version="1"} 5
nv_inference_pending_request_count{model="a",version="1"} 7
tepal_inference_in_flight{model="a",version="1"} 9
tepal_instance_busy_us{instance="a_0",model="a",version="1"} 111
tepal_instance_busy_us{instance="a_1",model="a",version="1"} 222
nv_inference_queue_summary_us{model="a",version="1",quantile="0.5"} NaN
nv_gpu_utilization{gpu_uuid="x"} 1
)");
  ASSERT_TRUE(page.ok());
  const auto reading = ReadServerPage(*page);
  ASSERT_TRUE(reading.ok());
  ASSERT_EQ(reading->size(), 2u);
  const ModelReading& a = reading->at("a/1");
  EXPECT_EQ(a.model, "a");
  EXPECT_EQ(a.version, "1");
  EXPECT_EQ(a.succeeded, 10);
  EXPECT_EQ(a.failed, 3);
  EXPECT_EQ(a.queue_us, 500);
  EXPECT_EQ(a.compute_us, 321);
  EXPECT_EQ(a.executions, 5);
  EXPECT_EQ(a.pending, 7);
  EXPECT_EQ(a.in_flight, 9);
  EXPECT_EQ(a.busy_us.size(), 2u);
  EXPECT_EQ(reading->at("b/2").in_flight, std::nullopt);  // Not on this page.
}

TEST(PageReading, APageWithoutModelsIsMissingNotIdle) {
  const auto page = telemetry::ParsePrometheusText("nv_cpu_utilization 0.5\n");
  EXPECT_EQ(ReadServerPage(*page).status().code(), StatusCode::kNotFound);
  EXPECT_EQ(ReadBalancerPage(*page).status().code(), StatusCode::kNotFound);
}

TEST(PageReading, ReadsABalancersPage) {
  const auto page = telemetry::ParsePrometheusText(
      R"(tepal_balancer_admitted_total{upstream="web"} 100
tepal_balancer_queue_duration_us{upstream="web"} 5000
tepal_balancer_queue_timeouts_total{upstream="web"} 2
tepal_balancer_queue_overflows_total{upstream="web"} 3
tepal_balancer_queue_length{upstream="web"} 4
tepal_balancer_queue_oldest_age_us{upstream="web"} 600
tepal_balancer_endpoint_up{upstream="web",endpoint="10.0.0.1:8000",name="a",slot=""} 1
tepal_balancer_endpoint_up{upstream="web",endpoint="[fd00::1]:8000",name="b",slot=""} 0
tepal_balancer_queue_length{upstream="other"} 1
)");
  const auto reading = ReadBalancerPage(*page);
  ASSERT_TRUE(reading.ok());
  const PoolReading& web = reading->at("web");
  EXPECT_EQ(web.admitted, 100);
  EXPECT_EQ(web.wait_us, 5000);
  EXPECT_EQ(web.lost, 5);
  EXPECT_EQ(web.waiting, 4);
  EXPECT_EQ(web.oldest_us, 600);
  EXPECT_EQ(web.endpoints, (std::set<std::string>{"10.0.0.1", "fd00::1"}));
  EXPECT_EQ(reading->at("other").waiting, 1);
}

}  // namespace
}  // namespace tepal::custom_metrics
