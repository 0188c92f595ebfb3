#include "balancing/discovery/dns_lookup.h"

#include <algorithm>
#include <utility>

#include "core/base/text.h"

namespace tepal::discovery {

namespace {

constexpr uint16_t kDnsPort = 53;
constexpr size_t kSearchMax = 32;
constexpr size_t kServersMax = 8;

using One = DnsFound::One;

// One lookup; lives as long as a question of it is in progress.
class Job : public std::enable_shared_from_this<Job> {
 public:
  Job(DnsClient& client, DnsName name, std::vector<std::string> names,
      Function<void(Result<DnsFound>)> done)
      : client_(client), name_(std::move(name)), names_(std::move(names)), done_(std::move(done)) {}

  void TryNext() {
    found_ = {};
    found_.ttl = Duration::max();
    if (names_.empty()) return done_(std::move(failure_));
    const std::string next = names_.front();
    names_.erase(names_.begin());
    if (name_.service.empty()) {
      AskForAddresses(next, name_.port, 1);
    } else {
      AskForService(next);
    }
  }

 private:
  void AskForService(const std::string& host) {
    const std::string service = name_.service.find('.') == std::string::npos
                                    ? Concat("_", name_.service, "._tcp")
                                    : name_.service;
    const std::string whole = Concat(service, ".", host);
    ++asked_;
    client_.Ask(whole, DnsType::kSrv,
                [self = shared_from_this(), whole](Result<DnsAnswer> answer) mutable {
                  self->OnService(whole, std::move(answer));
                });
  }

  void OnService(const std::string& whole, Result<DnsAnswer> answer) {
    if (!answer.ok()) {
      failure_ = answer.status();
      return OneLess();
    }
    std::vector<DnsRecord> records = RecordsFor(*answer, whole, DnsType::kSrv);
    uint16_t best = UINT16_MAX;
    for (const DnsRecord& record : records) best = std::min(best, record.priority);
    std::erase_if(records, [&](const DnsRecord& record) { return record.priority != best; });
    if (records.size() > kDnsTargetsMax) records.resize(kDnsTargetsMax);
    for (const DnsRecord& record : records) {
      found_.ttl = std::min<Duration>(found_.ttl, std::chrono::seconds(record.ttl_s));
      AskForAddresses(record.value, record.port, std::max<uint32_t>(record.weight, 1));
    }
    OneLess();
  }

  void AskForAddresses(const std::string& host, uint16_t port, uint32_t weight) {
    asked_ += name_.ip6 ? 2 : 1;  // Before the first can be answered.
    Ask(host, DnsType::kA, port, weight);
    if (name_.ip6) Ask(host, DnsType::kAaaa, port, weight);
  }

  void Ask(const std::string& host, DnsType type, uint16_t port, uint32_t weight) {
    client_.Ask(host, type,
                [self = shared_from_this(), host, type, port, weight](Result<DnsAnswer> answer) {
                  self->OnAddresses(host, type, port, weight, answer);
                });
  }

  void OnAddresses(const std::string& host, DnsType type, uint16_t port, uint32_t weight,
                   const Result<DnsAnswer>& answer) {
    using Family = env::Address::Family;
    if (answer.ok()) {
      for (const DnsRecord& record : RecordsFor(*answer, host, type)) {
        found_.ttl = std::min<Duration>(found_.ttl, std::chrono::seconds(record.ttl_s));
        const Family family = type == DnsType::kA ? Family::kIp4 : Family::kIp6;
        found_.endpoints.push_back({{family, record.value, port}, weight});
      }
    } else {
      // A kind of address that could not be asked for might be one that all endpoints have.
      failure_ = answer.status();
      broken_ = true;
    }
    OneLess();
  }

  void OneLess() {
    if (--asked_ > 0) return;
    if (found_.endpoints.empty() || broken_) {
      broken_ = false;
      return TryNext();
    }
    std::sort(found_.endpoints.begin(), found_.endpoints.end(), [](const One& a, const One& b) {
      return std::pair(a.address.family, a.address.ToString()) <
             std::pair(b.address.family, b.address.ToString());
    });
    done_(std::move(found_));
  }

  DnsClient& client_;
  const DnsName name_;
  std::vector<std::string> names_;  // Not tried yet.
  Function<void(Result<DnsFound>)> done_;
  DnsFound found_;
  Status failure_ = NotFound(Concat("'", name_.host, "' has no address"));
  bool broken_ = false;
  int asked_ = 0;
};

}  // namespace

ResolvConf ParseResolvConf(std::string_view text) {
  ResolvConf conf;
  for (const std::string_view line : Split(text, '\n')) {
    std::vector<std::string> words;
    for (const std::string_view word : Split(line.substr(0, line.find_first_of("#;")), ' ')) {
      for (const std::string_view part : Split(word, '\t')) {
        if (!Trim(part).empty()) words.emplace_back(Trim(part));
      }
    }
    if (words.size() < 2) continue;
    if (words[0] == "nameserver" && conf.servers.size() < kServersMax) {
      const bool ip6 = words[1].find(':') != std::string::npos;
      conf.servers.push_back(
          {ip6 ? env::Address::Family::kIp6 : env::Address::Family::kIp4, words[1], kDnsPort});
    } else if (words[0] == "search" || words[0] == "domain") {
      conf.search.assign(words.begin() + 1, words.end());
      if (conf.search.size() > kSearchMax) conf.search.resize(kSearchMax);
    } else if (words[0] == "options") {
      for (const std::string& word : words) {
        if (word.starts_with("ndots:")) {
          conf.ndots = ParseNumber<uint32_t>(std::string_view(word).substr(6)).value_or(1);
        }
      }
    }
  }
  return conf;
}

std::vector<std::string> NamesToTry(const ResolvConf& conf, const std::string& host) {
  if (host.ends_with('.')) return {host};
  std::vector<std::string> names;
  for (const std::string& domain : conf.search) names.push_back(Concat(host, ".", domain));
  const auto dots = static_cast<uint32_t>(std::count(host.begin(), host.end(), '.'));
  names.insert(dots >= conf.ndots ? names.begin() : names.end(), host);
  return names;
}

void DnsLookup::LookUp(DnsName name, Function<void(Result<DnsFound>)> done) {
  std::vector<std::string> names = NamesToTry(conf_, name.host);
  std::make_shared<Job>(client_, std::move(name), std::move(names), std::move(done))->TryNext();
}

}  // namespace tepal::discovery
