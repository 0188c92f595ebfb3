// What the health paths say.

#include "scaling/custom_metrics/health_checks.h"

#include <gtest/gtest.h>

namespace tepal::custom_metrics {
namespace {

HealthAnswer Ask(std::string_view target, const Status& second) {
  return AnswerHealth(ParseApiRequest("GET", target).value(), {{"ping", {}}, {"two", second}});
}

TEST(HealthChecksTest, AsKubernetes) {
  EXPECT_EQ(Ask("/readyz", {}).text, "ok");
  EXPECT_EQ(Ask("/readyz?verbose", {}).text, "[+]ping ok\n[+]two ok\nreadyz check passed\n");
  const HealthAnswer bad = Ask("/readyz", Unavailable("secret"));
  EXPECT_EQ(bad.code, 500);
  EXPECT_EQ(bad.text, "[+]ping ok\n[-]two failed: reason withheld\nreadyz check failed\n");
  EXPECT_EQ(Ask("/readyz?exclude=two", Unavailable("x")).code, 200);
  EXPECT_EQ(Ask("/readyz/two", {}).text, "ok");
  EXPECT_EQ(Ask("/readyz/two", Unavailable("why")).text, "internal server error: two: why\n");
  EXPECT_EQ(Ask("/readyz/ping", Unavailable("why")).code, 200);
  EXPECT_EQ(Ask("/readyz/three", {}).code, 404);
}

}  // namespace
}  // namespace tepal::custom_metrics
