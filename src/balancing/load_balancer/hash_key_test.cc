#include "balancing/load_balancer/hash_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

using testing::HasSubstr;

uint64_t Of(std::string_view key, const http::RequestHead& head, std::string_view model = "") {
  const auto parsed = HashKey::Parse(key);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return parsed.ok() ? parsed->Of(head, model) : 0;
}

http::RequestHead Head(std::string target, std::string peer = "10.0.0.1") {
  http::RequestHead head;
  head.target = std::move(target);
  head.peer = std::move(peer);
  head.authority = "a.example";
  return head;
}

TEST(HashKeyTest, EachPart) {
  const http::RequestHead one = Head("/v2/models/m/infer?a=1&b=2");
  EXPECT_NE(Of("uri", one), Of("uri", Head("/v2/models/m/infer?a=1")));
  EXPECT_EQ(Of("path", one), Of("path", Head("/v2/models/m/infer")));
  EXPECT_EQ(Of("argument:b", one), Of("argument:b", Head("/?b=2&a=3")));
  EXPECT_EQ(Of("argument:c", one), 0u);
  EXPECT_EQ(Of("model", one), Of("model", Head("/v2/models/m/versions/2/infer")));
  EXPECT_EQ(Of("model", one), Of("model", Head("/inference.GRPCInferenceService/ModelInfer"), "m"));
  EXPECT_EQ(Of("model", Head("/")), 0u);
  EXPECT_EQ(Of("client", one), Of("client", Head("/x")));
  EXPECT_NE(Of("client", one), Of("client", Head("/x", "10.0.0.2")));
  EXPECT_EQ(Of("client_net", one), Of("client_net", Head("/x", "10.0.0.2")));
  EXPECT_NE(Of("client_net", one), Of("client_net", Head("/x", "10.0.1.1")));
  EXPECT_NE(Of("client_net", Head("/", "::1")), Of("client_net", Head("/", "::2")));
  EXPECT_EQ(Of("query", Head("/")), 0u);
  EXPECT_EQ(Of("client", Head("/", "")), 0u);
  EXPECT_NE(Of("host", one), 0u);
}

TEST(HashKeyTest, HeadersByNameInAnyCase) {
  http::RequestHead head = Head("/");
  EXPECT_EQ(Of("header:X-User", head), 0u);
  head.headers.Add("x-user", "u");
  EXPECT_NE(Of("header:X-User", head), 0u);
  // One part of two is enough, and which one it is matters.
  EXPECT_NE(Of("header:x-user+header:x-other", head), 0u);
  EXPECT_NE(Of("header:x-user+header:x-other", head), Of("header:x-other+header:x-user", head));
}

TEST(HashKeyTest, WhatIsNoKeyIsRefused) {
  for (const char* bad : {"", "cookie", "header", "header:", "uri:x", "uri+", "uri+what"}) {
    EXPECT_THAT(HashKey::Parse(bad).status().message(), HasSubstr("expected uri, path")) << bad;
  }
  EXPECT_THAT(HashKey::Parse("uri+uri+uri+uri+uri+uri+uri+uri+uri").status().message(),
              HasSubstr("at most 8"));
}

}  // namespace
}  // namespace tepal::lb
