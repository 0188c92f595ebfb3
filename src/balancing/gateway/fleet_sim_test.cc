// Balancers that ask each other what they see, in the simulated world.

#include "balancing/gateway/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/base/text.h"
#include "core/json/value.h"
#include "network/http/body_collector.h"
#include "network/net/http_server.h"
#include "sim/world.h"

namespace tepal::gateway {
namespace {

using testing::HasSubstr;

struct Answering {
  std::string body;  // Empty: none ever comes.
  int status = 200;
  std::vector<std::string> authorizations = {};  // That were shown.
  std::vector<std::string> asked_of = {};        // Authorities.
};

class Other final : public http::RequestHandler {
 public:
  explicit Other(Answering& how) : how_(how) {}
  std::unique_ptr<http::RequestReceiver> OnRequest(http::RequestHead head,
                                                   http::ResponseSender& sender) override {
    EXPECT_EQ(head.target, "/api/tepal/pools");
    how_.authorizations.emplace_back(head.headers.Get("authorization").value_or("none"));
    how_.asked_of.push_back(head.authority);
    if (!how_.body.empty()) {
      http::ResponseHead answer;
      answer.status = how_.status;
      answer.headers.Add("location", "http://10.9.9.9:1/");
      BufferList body;
      body.push_back(Buffer::Copy(how_.body));
      sender.Respond(std::move(answer), std::move(body));
    }
    return std::make_unique<http::DiscardingRequest>();
  }

 private:
  Answering& how_;
};

class Names final : public net::Resolver {
 public:
  int look_ups = 0;
  Duration takes = 3ms;
  void Resolve(env::EventLoop& loop, const net::HostPort& name,
               Function<void(Result<std::vector<env::Address>>)> done) override {
    ++look_ups;
    Result<std::vector<env::Address>> found = Unavailable("unknown name");
    using Family = env::Address::Family;
    if (name.host == "balancers") {
      found = std::vector<env::Address>{{Family::kIp4, "10.0.0.1", name.port},
                                        {Family::kIp4, "10.0.0.2", name.port}};
    } else if (name.host.starts_with("10.")) {
      found = std::vector<env::Address>{{Family::kIp4, name.host, name.port}};
    }
    loop.RunAfter(takes, [found, done = std::move(done)]() mutable { done(std::move(found)); });
  }
};

std::string Says(std::string_view instance, std::string_view state = "up") {
  return Concat(R"({"balancer":{"name":"host","instance":")", instance,
                R"("},"pools":[{"upstream":"p","uptime_s":1,"rate_1s":2,"in_flight":0,)",
                R"("queue":{"length":0},"endpoints":[{"address":"a","name":"a","state":")", state,
                R"(","rate_1s":1}]}]})");
}

class Scene {
 public:
  explicit Scene(const std::vector<std::string>& others) {
    loop_ = &world_.AddLoop();
    server_loop_ = &world_.AddLoop();
    std::vector<FleetAddress> addresses;
    for (const std::string& other : others) {
      addresses.push_back({net::HostPort::Parse(other, kAdminPort).value(), false});
    }
    fleet_.emplace(*loop_, names_, std::move(addresses), nullptr);
  }
  ~Scene() {
    fleet_.reset();
    servers_.clear();
  }

  Answering& Serve(std::string host, Answering how) {
    Answering& kept = answering_[host] = std::move(how);
    servers_.push_back(std::make_unique<net::HttpServer>(
        std::vector<env::EventLoop*>{server_loop_}, net::HttpServer::Options(),
        [&kept](env::EventLoop&) { return std::make_unique<Other>(kept); }));
    EXPECT_TRUE(servers_.back()->Listen({env::Address::Family::kIp4, host, 8080}).ok());
    return kept;
  }

  std::shared_ptr<std::optional<Result<std::string>>> Begin(std::string authorization = "") {
    auto got = std::make_shared<std::optional<Result<std::string>>>();
    loop_->Post([this, got, authorization] {
      fleet_->Ask(authorization, lb::ReadFleetMember(Says("self")).value(),
                  [got](Result<std::string> json) { *got = std::move(json); });
      EXPECT_FALSE(got->has_value());  // Never inside.
    });
    return got;
  }
  // "address: error" of each member in order.
  std::vector<std::string> Ask(std::string authorization = "") {
    const auto got = Begin(std::move(authorization));
    EXPECT_TRUE(world_.RunUntil([&] { return got->has_value(); }, 20s));
    std::vector<std::string> members;
    if (!(*got)->ok()) return {(*got)->status().message()};
    json_ = ***got;
    const auto value = json::Parse(json_);
    for (const json::Value& member : *value->Find("members")->AsArray()) {
      members.push_back(
          Concat(*member.Find("address")->AsString(), ": ", *member.Find("error")->AsString()));
    }
    return members;
  }

  sim::World world_{3};
  env::EventLoop* loop_;
  env::EventLoop* server_loop_;
  Names names_;
  std::map<std::string, Answering> answering_;
  std::vector<std::unique_ptr<net::HttpServer>> servers_;
  std::optional<Fleet> fleet_;
  std::string json_;
};

using Members = std::vector<std::string>;

TEST(FleetSimTest, ANameStandsForAllButTheAskerItself) {
  Scene scene({"balancers:8080"});
  scene.Serve("10.0.0.1", {Says("self")});
  Answering& other = scene.Serve("10.0.0.2", {Says("b", "ejected")});
  EXPECT_EQ(scene.Ask("Bearer t"), (Members{": ", "http://10.0.0.2:8080: "}));
  EXPECT_THAT(scene.json_, HasSubstr(R"("differs":true,"states":["up","ejected"])"));
  EXPECT_EQ(other.authorizations, (Members{"Bearer t"}));
  EXPECT_EQ(other.asked_of, (Members{"balancers:8080"}));
  EXPECT_EQ(scene.Ask(), (Members{": ", "http://10.0.0.2:8080: "}));
  EXPECT_EQ(other.authorizations, (Members{"Bearer t", "none"}));
}

TEST(FleetSimTest, WhoSaysNothingGoodIsShownAndHidesNobody) {
  Scene scene({"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "nobody", "10.0.0.6"});
  scene.Serve("10.0.0.1", {""});
  scene.Serve("10.0.0.2", {"{}", 401});
  scene.Serve("10.0.0.3", {R"({"balancer":{"name":"<b>","instance":7}})"});
  scene.Serve("10.0.0.4", {Says("d"), 302});
  scene.Serve("10.0.0.6", {Says("f")});
  const Instant begun = scene.loop_->Now();
  const Members members = scene.Ask("Bearer t");
  EXPECT_LT(scene.loop_->Now() - begun, Duration(Fleet::kTimeMax) + 1s);
  ASSERT_EQ(members.size(), 8u);
  EXPECT_THAT(members[1], HasSubstr("within 2000 ms"));
  EXPECT_EQ(members[2], "http://10.0.0.2:8080: 401: it does not let this token in");
  EXPECT_EQ(
      members[3],
      "http://10.0.0.3:8080: what it says cannot be read: balancer.instance: expected a text");
  EXPECT_EQ(members[4], "http://10.0.0.4:8080: it answers 302");
  EXPECT_THAT(members[5], HasSubstr("http://10.0.0.5:8080: "));
  EXPECT_EQ(members[6], "http://nobody:8080: unknown name");
  EXPECT_EQ(members[7], "http://10.0.0.6:8080: ");
}

TEST(FleetSimTest, AnAnswerThatIsTooLongIsNotRead) {
  Scene scene({"10.0.0.1"});
  scene.Serve("10.0.0.1", {std::string(Fleet::kBodyBytesMax + 1, ' ')});
  const Members members = scene.Ask();
  ASSERT_EQ(members.size(), 2u);
  EXPECT_NE(members[1], "http://10.0.0.1:8080: ");
}

TEST(FleetSimTest, NamesAreKeptForAWhileAndAskingsAreLimited) {
  Scene scene({"balancers"});
  scene.Serve("10.0.0.1", {Says("a")});
  Answering& other = scene.Serve("10.0.0.2", {""});
  std::vector<std::shared_ptr<std::optional<Result<std::string>>>> under_way;
  for (int i = 0; i < Fleet::kUnderWayMax; ++i) under_way.push_back(scene.Begin());
  scene.world_.RunFor(100ms);
  EXPECT_EQ(scene.Ask(), (Members{"the fleet is being asked 4 times already"}));
  scene.world_.RunFor(3s);
  for (const auto& got : under_way) EXPECT_TRUE(got->has_value() && (*got)->ok());
  EXPECT_EQ(scene.names_.look_ups, 1);
  // Old names will do while new ones are looked up.
  other.body = Says("b");
  scene.world_.RunFor(10s);
  scene.names_.takes = 3600s;
  EXPECT_EQ(scene.Ask(), (Members{": ", "http://10.0.0.1:8080: ", "http://10.0.0.2:8080: "}));
  scene.world_.RunFor(10s);
  (void)scene.Ask();
  EXPECT_EQ(scene.names_.look_ups, 2);
  // What is under way when it goes is not answered.
  other.body.clear();
  const auto late = scene.Begin();
  scene.world_.RunFor(100ms);
  scene.fleet_.reset();
  scene.world_.RunFor(5s);
  EXPECT_FALSE(late->has_value());
}

}  // namespace
}  // namespace tepal::gateway
