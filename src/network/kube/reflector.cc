#include "network/kube/reflector.h"

#include <algorithm>

#include "core/base/check.h"
#include "core/base/text.h"

namespace tepal::kube {

Reflector::Step Reflector::NextStep(Instant now) {
  if (now < not_before_) return {};
  if (phase_ == Phase::kMustList) {
    phase_ = Phase::kListing;
    return {Step::Kind::kList, {}};
  }
  if (phase_ == Phase::kMustWatch) {
    phase_ = Phase::kWatching;
    watch_since_ = now;
    watch_had_event_ = false;
    must_list_ = false;
    return {Step::Kind::kWatch, resource_version_};
  }
  return {};
}

std::optional<Instant> Reflector::NextDeadline() const {
  if (phase_ == Phase::kListing || phase_ == Phase::kWatching) return std::nullopt;
  return not_before_;
}

void Reflector::Later(const Answer& why, Instant now) {
  trouble_ = why.status;
  not_before_ = now + std::max(backoff_.Next(), why.retry_after.value_or(Duration(0)));
}

std::vector<Change> Reflector::OnList(std::vector<json::Value> objects,
                                      std::string resource_version, Instant now) {
  TEPAL_CHECK(phase_ == Phase::kListing);
  std::vector<Change> changes;
  std::map<std::string, Object> fresh;
  for (json::Value& object : objects) {
    std::string key = KeyOf(object);
    fresh[std::move(key)] = std::make_shared<const json::Value>(std::move(object));
  }
  for (const auto& [key, object] : objects_) {
    if (!fresh.contains(key)) changes.push_back({Change::Kind::kDeleted, key, object});
  }
  for (auto& [key, object] : fresh) {
    const auto known = objects_.find(key);
    if (known != objects_.end() &&
        ResourceVersionOf(*known->second) == ResourceVersionOf(*object)) {
      object = known->second;
    } else {
      changes.push_back({Change::Kind::kSet, key, object});
    }
  }
  objects_ = std::move(fresh);
  resource_version_ = std::move(resource_version);
  synced_ = true;
  trouble_ = Status();
  phase_ = Phase::kMustWatch;
  not_before_ = now;
  failed_watches_ = 0;
  return changes;
}

void Reflector::OnListFailed(const Answer& why, Instant now) {
  TEPAL_CHECK(phase_ == Phase::kListing);
  phase_ = Phase::kMustList;
  Later(why, now);
}

// Versions are numbers wherever the store is etcd; elsewhere only the same one is known to be old.
bool Reflector::IsOld(std::string_view resource_version) const {
  if (resource_version == resource_version_) return true;
  const auto seen = ParseNumber<uint64_t>(resource_version_);
  const auto now = ParseNumber<uint64_t>(resource_version);
  return seen && now && *now < *seen;
}

std::optional<Change> Reflector::OnEvent(WatchEvent event, Instant) {
  TEPAL_CHECK(phase_ == Phase::kWatching);
  if (must_list_) return std::nullopt;
  if (event.type == WatchEvent::Type::kError) {
    const Answer why = AnswerOfStatusObject(std::move(event.object));
    trouble_ = why.status;
    must_list_ = true;
    return std::nullopt;
  }
  const std::string version(ResourceVersionOf(event.object));
  if (version.empty()) {
    must_list_ = true;
    trouble_ = InvalidArgument("an object of the watch has no metadata.resourceVersion");
    return std::nullopt;
  }
  if (IsOld(version)) return std::nullopt;
  resource_version_ = version;
  watch_had_event_ = true;
  if (event.type == WatchEvent::Type::kBookmark) return std::nullopt;

  std::string key = KeyOf(event.object);
  const auto known = objects_.find(key);
  auto object = std::make_shared<const json::Value>(std::move(event.object));
  if (event.type == WatchEvent::Type::kDeleted) {
    if (known == objects_.end()) return std::nullopt;
    objects_.erase(known);
    return Change{Change::Kind::kDeleted, std::move(key), std::move(object)};
  }
  objects_[key] = object;
  return Change{Change::Kind::kSet, std::move(key), std::move(object)};
}

void Reflector::OnWatchEnd(const Answer& why, Instant now) {
  TEPAL_CHECK(phase_ == Phase::kWatching);
  const bool healthy = watch_had_event_ || now - watch_since_ >= options_.healthy_watch;
  if (healthy) {
    backoff_.Reset();
    failed_watches_ = 0;
  }
  phase_ = Phase::kMustWatch;
  not_before_ = now;
  if (must_list_ || why.expired()) {
    phase_ = Phase::kMustList;
    // At once after a watch that was good for something; not in a circle of 410s.
    if (!healthy) Later(why.ok() ? FailedAnswer(trouble_) : why, now);
    return;
  }
  if (healthy && why.ok()) {
    trouble_ = Status();
    return;
  }
  if (++failed_watches_ >= options_.failed_watches_max) {
    failed_watches_ = 0;
    phase_ = Phase::kMustList;
  }
  Later(why, now);
}

}  // namespace tepal::kube
