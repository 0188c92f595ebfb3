#include "balancing/load_balancer/certificate_roles.h"

#include <gtest/gtest.h>

namespace tepal::lb {
namespace {

using Role = AdminAccess::Role;

constexpr WallTime kNow{std::chrono::seconds(1'800'000'000)};

net::CertifiedPeer Peer(std::string name, std::vector<std::string> others = {}) {
  net::CertifiedPeer peer;
  peer.common_name = std::move(name);
  peer.alternative_names = std::move(others);
  peer.not_after = kNow + 3600s;
  return peer;
}

const std::optional<CertificateRoles> kRoles =
    CertificateRoles{{"deploy", "spiffe://cluster/ops"}, {"monitor", "deploy"}};
const AdminAccess kTokens =
    AdminAccess::Parse("probe read 0123456789abcdef\nroot write fedcba9876543210", "tokens")
        .value();
constexpr char kProbe[] = "Bearer 0123456789abcdef";
constexpr char kRoot[] = "Bearer fedcba9876543210";

AdminAccess::Caller Find(const AdminAccess& tokens, std::string_view authorization,
                         const net::CertifiedPeer& peer) {
  return FindCaller(tokens, kRoles, authorization, &peer, kNow);
}

TEST(CertificateRolesTest, ByCommonNameAndByAlternativeNames) {
  EXPECT_EQ(kRoles->Find(Peer("deploy")), Role::kWrite);
  EXPECT_EQ(kRoles->Find(Peer("monitor")), Role::kRead);
  EXPECT_EQ(kRoles->Find(Peer("", {"a.example", "spiffe://cluster/ops"})), Role::kWrite);
  EXPECT_EQ(kRoles->Find(Peer("a", {"monitor"})), Role::kRead);
  for (const char* other : {"", "Deploy", "deploy2", "deplo", "*"}) {
    EXPECT_EQ(kRoles->Find(Peer(other, {"spiffe://cluster/ops/2"})), Role::kNone) << other;
  }
}

TEST(CertificateRolesTest, AStarIsEveryCertificateAndAnEmptyNameIsNone) {
  const CertificateRoles any{{}, {"*"}};
  EXPECT_EQ(any.Find(Peer("whoever")), Role::kRead);
  EXPECT_EQ(any.Find(Peer("")), Role::kRead);
  EXPECT_EQ((CertificateRoles{{""}, {}}.Find(Peer(""))), Role::kNone);
}

TEST(CertificateRolesTest, CallersAreNamed) {
  EXPECT_EQ(Find({}, "", Peer("deploy")).name, "certificate CN=deploy");
  EXPECT_EQ(Find({}, "", Peer("", {"spiffe://cluster/ops"})).name,
            "certificate spiffe://cluster/ops");
  EXPECT_EQ(Find({}, "", Peer("")).name, "certificate without a name");
  EXPECT_EQ(Find({}, "", Peer("a\nb\x7f")).name, "certificate CN=a?b?");
  EXPECT_EQ(Find({}, "", Peer("stranger")).role, Role::kNone);
}

TEST(CertificateRolesTest, ATokenOrACertificateWhicheverMayDoMore) {
  EXPECT_EQ(Find(kTokens, kProbe, Peer("deploy")).name, "certificate CN=deploy");
  EXPECT_EQ(Find(kTokens, kRoot, Peer("monitor")).name, "root");
  EXPECT_EQ(Find(kTokens, kProbe, Peer("monitor")).name, "probe");
  EXPECT_EQ(Find(kTokens, kProbe, Peer("stranger")).role, Role::kRead);
  EXPECT_EQ(Find(kTokens, "Bearer wrong", Peer("monitor")).role, Role::kRead);
  EXPECT_EQ(Find(kTokens, "Bearer wrong", Peer("stranger")).name, "certificate CN=stranger");
  const auto without = FindCaller(kTokens, kRoles, kRoot, nullptr, kNow);
  EXPECT_EQ(without.role, Role::kWrite);
}

TEST(CertificateRolesTest, WhereCertificatesAreAskedForNobodyComesInWithout) {
  EXPECT_EQ(FindCaller({}, kRoles, "", nullptr, kNow).role, Role::kNone);
  EXPECT_EQ(FindCaller({}, kRoles, "", nullptr, kNow).name, "");
  EXPECT_EQ(FindCaller({}, std::nullopt, "", nullptr, kNow).role, Role::kWrite);
}

TEST(CertificateRolesTest, ACertificateThatHasRunOutIsNone) {
  const net::CertifiedPeer deploy = Peer("deploy");
  const auto at = [&](WallTime now) { return FindCaller({}, kRoles, "", &deploy, now).role; };
  EXPECT_EQ(at(deploy.not_after - 1s), Role::kWrite);
  EXPECT_EQ(at(deploy.not_after), Role::kNone);
}

}  // namespace
}  // namespace tepal::lb
