#include "balancing/gateway/fleet.h"

#include <utility>

#include "core/base/text.h"

namespace tepal::gateway {

namespace {

constexpr int kOk = 200;

std::unique_ptr<net::HttpClient> NewClient(env::EventLoop& loop,
                                           std::shared_ptr<net::TlsSource> tls) {
  net::HttpClient::Options options;
  options.idle_connections_max = 1;
  options.limits.body_bytes_max = Fleet::kBodyBytesMax;
  options.connect_time_max = Fleet::kTimeMax;
  options.tls = std::move(tls);
  return std::make_unique<net::HttpClient>(loop, options);
}

lb::FleetMember Read(const Result<net::HttpClient::Response>& answer) {
  lb::FleetMember member;
  if (!answer.ok()) {
    member.error = answer.status().message();
  } else if (answer->head.status == 401 || answer->head.status == 403) {
    member.error = Concat(answer->head.status, ": it does not let this token in");
  } else if (answer->head.status != kOk) {
    member.error = Concat("it answers ", answer->head.status);
  } else if (auto read = lb::ReadFleetMember(answer->body.text()); read.ok()) {
    member = *std::move(read);
  } else {
    member.error = Concat("what it says cannot be read: ", read.status().message());
  }
  return member;
}

}  // namespace

struct Fleet::Asking {
  std::string authorization;
  std::vector<lb::FleetMember> members;  // This balancer first.
  Function<void(Result<std::string>)> done;
  size_t waiting = 0;
};

Fleet::Fleet(env::EventLoop& loop, net::Resolver& resolver, std::vector<FleetAddress> others,
             std::shared_ptr<net::TlsSource> tls)
    : loop_(loop),
      resolver_(resolver),
      others_(std::move(others)),
      http_(NewClient(loop, nullptr)),
      https_(tls == nullptr ? nullptr : NewClient(loop, std::move(tls))) {}

Fleet::~Fleet() {
  *alive_ = false;
  http_.reset();  // Their requests fail now, and find nobody.
  https_.reset();
}

void Fleet::Ask(std::string authorization, lb::FleetMember self,
                Function<void(Result<std::string>)> done) {
  if (under_way_ >= kUnderWayMax) {
    loop_.Post([done = std::move(done)]() mutable {
      done(ResourceExhausted(Concat("the fleet is being asked ", kUnderWayMax, " times already")));
    });
    return;
  }
  ++under_way_;
  auto asking = std::make_shared<Asking>();
  asking->authorization = std::move(authorization);
  asking->members.push_back(std::move(self));
  asking->done = std::move(done);
  // Old names will do until there are new ones: a look-up may take long.
  if (names_.has_value()) {
    AskAll(asking);
  } else {
    wait_for_names_.push_back(std::move(asking));
  }
  if (!looking_up_ && loop_.Now() >= names_until_) LookUp();
}

void Fleet::LookUp() {
  looking_up_ = true;
  std::vector<net::HostPort> names;
  for (const FleetAddress& other : others_) names.push_back(other.host);
  LookUpNames(resolver_, loop_, std::move(names), [this, alive = alive_](NamesFound found) {
    if (!*alive) return;
    looking_up_ = false;
    names_ = std::move(found);
    names_until_ = loop_.Now() + kNamesFor;
    for (const auto& asking : std::exchange(wait_for_names_, {})) AskAll(asking);
  });
}

void Fleet::AskAll(const std::shared_ptr<Asking>& asking) {
  asking->waiting = 1;  // For this loop.
  for (const FleetAddress& other : others_) {
    const std::string name = NameText(other.host);
    if (const auto failed = names_->failures.find(name); failed != names_->failures.end()) {
      lb::FleetMember& member = asking->members.emplace_back();
      member.address = other.ToString();
      member.error = failed->second.message();
      continue;
    }
    for (const env::Address& address : names_->addresses.at(name)) AskOne(asking, other, address);
  }
  // Not within Ask, also where nobody could be asked.
  loop_.Post([this, alive = alive_, asking] {
    if (*alive) Finish(asking);
  });
}

void Fleet::AskOne(const std::shared_ptr<Asking>& asking, const FleetAddress& other,
                   const env::Address& address) {
  const size_t index = asking->members.size();
  lb::FleetMember& member = asking->members.emplace_back();
  member.address = Concat(other.tls ? "https://" : "http://", address.ToString());
  if (index > kMembersMax) {
    member.error = Concat("not asked: more than ", kMembersMax, " balancers");
    return;
  }
  http::RequestHead head;
  head.method = "GET";
  head.target = "/api/tepal/pools";
  head.authority = other.host.host.starts_with("unix:") ? "" : NameText(other.host);
  head.headers.Add("user-agent", "tepal-fleet");
  if (!asking->authorization.empty()) head.headers.Add("authorization", asking->authorization);
  ++asking->waiting;
  net::HttpClient& client = other.tls ? *https_ : *http_;
  client.Fetch(address, std::move(head), {}, kTimeMax,
               [this, alive = alive_, asking, index](Result<net::HttpClient::Response> answer) {
                 if (!*alive) return;
                 std::string asked = std::move(asking->members[index].address);
                 asking->members[index] = Read(answer);
                 asking->members[index].address = std::move(asked);
                 Finish(asking);
               });
}

void Fleet::Finish(const std::shared_ptr<Asking>& asking) {
  if (--asking->waiting > 0) return;
  --under_way_;
  const std::string self = asking->members[0].instance;
  std::erase_if(asking->members, [&](const lb::FleetMember& member) {
    return !member.address.empty() && member.error.empty() && member.instance == self;
  });
  asking->done(lb::FleetJson(asking->members));
}

}  // namespace tepal::gateway
