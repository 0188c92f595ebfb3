// A copy of a collection, kept true by list and watch: the decisions, without a connection.
//
// The owner asks for the next step, does it, and says how it went:
//
//   list  -> OnList(objects, version) or OnListFailed(answer)
//   watch -> OnEvent(event) any number of times, then OnWatchEnd(answer)
//
// and gets the changes to act on. What was sent twice is seen once; a watch that breaks goes on
// from the last version it saw; a version that the server has forgotten (410) means listing again,
// and what vanished in between comes out as deletions. Until the first list is in, `synced` is
// false and an empty copy means nothing. An outage never looks like a deletion.
//
// Clockless; one owner.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "network/kube/api.h"
#include "network/kube/backoff.h"
#include "network/kube/watch_decoder.h"

namespace tepal::kube {

using Object = std::shared_ptr<const json::Value>;

struct Change {
  enum class Kind { kSet, kDeleted };
  Kind kind = Kind::kSet;
  std::string key;  // "namespace/name", or "name".
  Object object;    // kDeleted: as it was last.
};

class Reflector {
 public:
  struct Options {
    Backoff::Options backoff;
    // A watch that lasted so long was a healthy one: the next begins at once.
    Duration healthy_watch = 1s;
    // So many watches in a row that ended early without an event: list again.
    int failed_watches_max = 5;
  };
  struct Step {
    enum class Kind { kNone, kList, kWatch };
    Kind kind = Kind::kNone;
    std::string resource_version;  // To watch from.
  };

  Reflector(Options options, env::Random& random)
      : options_(options), backoff_(options.backoff, random) {}

  // What to begin now; kNone while something is in progress or it is too early.
  Step NextStep(Instant now);
  // When NextStep has something to begin, unless something is in progress.
  std::optional<Instant> NextDeadline() const;

  std::vector<Change> OnList(std::vector<json::Value> objects, std::string resource_version,
                             Instant now);
  void OnListFailed(const Answer& why, Instant now);
  std::optional<Change> OnEvent(WatchEvent event, Instant now);
  // An OK answer: the server ended it, as it does every few minutes.
  void OnWatchEnd(const Answer& why, Instant now);

  bool synced() const { return synced_; }
  const std::map<std::string, Object>& objects() const { return objects_; }
  // Empty while all is well: why the last step failed.
  const Status& trouble() const { return trouble_; }

 private:
  enum class Phase { kMustList, kListing, kMustWatch, kWatching };

  void Later(const Answer& why, Instant now);
  bool IsOld(std::string_view resource_version) const;

  const Options options_;
  Backoff backoff_;
  Phase phase_ = Phase::kMustList;
  Instant not_before_{};
  Instant watch_since_{};
  bool watch_had_event_ = false;
  bool must_list_ = false;  // Once the watch has ended.
  int failed_watches_ = 0;
  std::string resource_version_;
  std::map<std::string, Object> objects_;
  bool synced_ = false;
  Status trouble_;
};

}  // namespace tepal::kube
