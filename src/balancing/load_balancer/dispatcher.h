// Which request goes to which endpoint, and when: one pool's endpoints, their health, the line of
// requests that wait, and the retry budget, put together.
//
// A plain state machine without clock, socket or thread. Its owner (balancer.h) holds it under one
// lock, tells it what happened, and after each call asks Poll what is to be done: requests that may
// go, requests whose time is up, health checks to send. A request is known by its ticket; what a
// failed try means is judged by retry.h, outside.
//
// Invariants, checked by dispatcher_sim_test: a ticket is granted, expired or refused exactly once
// for each time it asks; no endpoint gets more than its in_flight_max; only a usable endpoint is
// granted; nobody waits while a usable endpoint has room, except to avoid one that it has tried.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "balancing/load_balancer/choice.h"
#include "balancing/load_balancer/ejection.h"
#include "balancing/load_balancer/endpoint.h"
#include "balancing/load_balancer/hash_ring.h"
#include "balancing/load_balancer/health_check.h"
#include "balancing/load_balancer/hedging.h"
#include "balancing/load_balancer/model_directory.h"
#include "balancing/load_balancer/model_work.h"
#include "balancing/load_balancer/retry.h"
#include "balancing/load_balancer/sequence_table.h"
#include "balancing/load_balancer/waiting_line.h"
#include "core/base/result.h"

namespace tepal::lb {

// What else is known of how a try has ended.
struct TrySaid {
  const ModelLoad* load = nullptr;  // By the endpoint, of itself; null: nothing.
  std::string_view model{};         // That the request was for.
  bool model_unknown = false;       // The endpoint does not know the model, and did nothing.
};

class Dispatcher {
 public:
  struct Options {
    ChoicePolicy policy = ChoicePolicy::kLeastOutstanding;
    HealthCheck::Options health;
    Ejection::Options ejection;
    RetryBudget::Options retry_budget;
    Hedging::Options hedging;
    uint32_t queue_size_max = 1024;  // Requests that wait for an endpoint; 503 above.
    Duration queue_time_max = 30s;   // How long one waits; 503 then.
    // With kHash: an endpoint with more than so many times its share of the requests in flight
    // passes the next on along the ring; from 1. 0: no bound.
    double hash_bound = 0;
  };

  // Permission to try one endpoint once. Ends with exactly one Finish.
  struct Grant {
    Ticket ticket = 0;
    EndpointId endpoint = 0;
    env::Address address;
    std::optional<env::Address> grpc_address;
    std::shared_ptr<EndpointTraffic> traffic;
    Instant deadline{};  // Until when the request may wait, should the try reach nobody.
    bool retry = false;  // Holds a place in the retry budget.
    bool work = true;    // See Asking.
    bool alone = false;  // See ServiceEstimate.
    Instant begun{};
    uint64_t sequence = 0;
    uint64_t ended_sequence = 0;
    uint64_t key = 0;
    ModelNumber model = 0;
    bool alone_with_model = false;
    Duration rescue_after{};  // See TryLimit; 0: nothing is known.
    Duration hedge_after{};   // Hedge may be asked for then; 0: never.
    bool hedge = false;       // A second try, which holds a place in the budget of those.
  };

  enum class Admission {
    kGranted,
    kWaiting,       // Poll will grant or expire it.
    kFull,          // The line is full.
    kUnavailable,   // No endpoint has room, and the request may not wait.
    kModelNowhere,  // Endpoints have the model, but none of those can be used soon.
    kTooLate,       // No endpoint is expected to answer before the deadline.
    kNoBudget,      // For retries only.
  };
  // What is known of a new request.
  struct Asking {
    Ticket ticket = 0;
    bool may_wait = true;
    Instant deadline = Instant::max();  // It is of no use after that.
    bool work = true;             // An inference: how long it takes says how fast an endpoint is.
    uint64_t sequence = 0;        // Goes where that sequence is; 0: anywhere.
    bool sequence_start = false;  // It is nowhere yet.
    bool sequence_end = false;    // It is nowhere once this is answered.
    uint64_t key = 0;             // With kHash: hash_key.h. 0: none.
    std::string_view model{};     // Empty: it is for none.
  };
  struct Admitted {
    Admission admission = Admission::kUnavailable;
    Grant grant;          // With kGranted.
    Duration expected{};  // With kTooLate: until the earliest answer.
  };

  struct Check {
    EndpointId endpoint = 0;
    uint64_t number = 0;
    env::Address address;
    std::optional<env::Address> grpc_address;
  };

  // What is to be done, in any order.
  struct Due {
    std::vector<Grant> grants;          // For tickets that were waiting.
    std::vector<Ticket> expired;        // Waited for queue_time_max.
    std::vector<Ticket> too_late;       // Waited until they could no longer make their deadline.
    std::vector<Check> checks;          // To be sent; the answers go to OnCheck.
    std::vector<EndpointId> suspected;  // Just became unhealthy: see TryEnd::kSuspected.
    std::vector<EndpointId> drained;    // Drained or removed, and now without requests.
    bool empty() const {
      return grants.empty() && expired.empty() && too_late.empty() && checks.empty() &&
             suspected.empty() && drained.empty();
    }
  };

  struct EndpointStatus {
    EndpointId id = 0;
    EndpointSpec spec;
    EndpointState state = EndpointState::kChecking;
    uint32_t in_flight = 0;
    HealthCheck::Counters health;
    uint64_t ejections = 0;
    Instant added{};
    Duration downtime{};                // Not usable, from the first time that it was.
    std::optional<Instant> down_since;  // Not usable now, and since when.
    std::optional<Instant> selected;    // When it last got a request.
    std::shared_ptr<const EndpointTraffic> traffic;
  };

  struct Counters {
    uint64_t admitted = 0;  // Granted at once or let into the line; retries left out.
    uint64_t refused = 0;   // kFull or kUnavailable.
    uint64_t waited = 0;    // Granted after they had waited.
    uint64_t expired = 0;
    uint64_t refused_late = 0;  // kTooLate.
    uint64_t dropped_late = 0;  // In the line, when they could no longer make it.
    uint64_t model_nowhere = 0;
    Duration wait_time{};  // Of all that have left the line, however they left it.
  };

  // kInvalidArgument names the option that makes no sense.
  static Status Validate(const Options& options);

  // `random` outlives the dispatcher.
  Dispatcher(const Options& options, env::Random& random);
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  // Endpoints. All but Add are kNotFound for an unknown id.
  EndpointId Add(EndpointSpec spec, Instant now);
  Status Drain(EndpointId id, Instant now);               // Finish what it has; then `drained`.
  Status Remove(EndpointId id, Instant now);              // Off the list at once; then `drained`.
  Status SetDown(EndpointId id, bool down, Instant now);  // Also ends a drain.
  Status SetWeight(EndpointId id, uint32_t weight);
  Status SetInFlightMax(EndpointId id, uint32_t in_flight_max);

  // Valid options, from now on; who waits keeps the deadline it has.
  void Reconfigure(const Options& options, Instant now);

  // A new request.
  Admitted Admit(const Asking& asking, Instant now);

  // Another try for the request whose try `failed` has been finished. `tried`: where it has been;
  // `tries`: how often. With RetryVerdict::kBackInLine `unprocessed` is true, and it costs nothing.
  struct AskingAgain {
    const Grant& failed;
    const std::vector<EndpointId>& tried;
    uint32_t tries = 0;
    bool unprocessed = false;
    Instant deadline = Instant::max();  // As in Asking.
  };
  Admitted Again(const AskingAgain& asking, Instant now);

  // Another try beside `first`, which has no answer yet, on none of the endpoints `tried`. Nothing
  // when it may not be: hedging.h.
  std::optional<Grant> Hedge(const Grant& first, const std::vector<EndpointId>& tried, Instant now);

  // The client of a waiting request has gone. False: it is not waiting; a grant is on its way.
  bool Abandon(Ticket ticket, Instant now);

  // `status` with kAnswered.
  void Finish(const Grant& grant, TryEnd end, int status, Instant now, const TrySaid& said = {});

  size_t models() const { return models_.last(); }
  // Models with numbers from `first` on, at most `count` of them; empty when there are no more.
  std::vector<ModelStatus> Models(ModelNumber first, size_t count, Instant now) const;
  // Requests of each model so far, by number less 1: cheap enough to ask for every second.
  std::vector<uint64_t> ModelRequests() const;
  // Where one of them is, in order of adding.
  std::vector<ModelAtEndpoint> ModelEndpoints(ModelNumber model, Instant now) const;

  // All the models that an endpoint has ready; nothing: it does not say any more.
  void OnListing(EndpointId id, const ServerLoad* listing, Instant now);
  // Whether a request for the model, refused as unknown where it has been, may find it elsewhere.
  bool ElsewhereReady(std::string_view model, const std::vector<EndpointId>& tried,
                      Instant now) const;

  // The answer to a health check; `error` is empty when it passed.
  void OnCheck(EndpointId id, uint64_t number, std::string error, Instant now);

  // Appends to `due`.
  void Poll(Instant now, Due& due);
  std::optional<Instant> NextDeadline(Instant now) const;

  std::vector<EndpointStatus> Endpoints() const;  // In order of adding, removed ones included.
  size_t waiting() const { return line_.size(); }
  Duration oldest_wait(Instant now) const { return line_.OldestAge(now); }
  const Counters& counters() const { return counters_; }
  const RetryBudget& retry_budget() const { return budget_; }
  const Hedging& hedging() const { return hedging_; }
  const Options& options() const { return options_; }

 private:
  struct Record {
    EndpointStatus status;
    HealthCheck health;
    Ejection ejection;
    Candidate load;
    EndpointModels models;  // What it does for each of them.
    uint64_t successes = 0;
    std::optional<size_t> position;  // In usable_.
    bool down = false;
    bool draining = false;
    bool removed = false;
    bool has_been_up = false;
    bool has_room = false;        // Counted in with_room_.
    std::optional<Instant> wake;  // Its entry in wakes_.
  };

  static EndpointState StateOf(const Record& record);
  void AddToRing(const Record& record);
  Record* Find(EndpointId id);
  void Refresh(Instant now);
  void Update(Record& record, Instant now);
  void Count(const Record& record, int by);
  void Place(Record& record, Instant now);
  void NoteRoom(Record& record);
  void SetUsable(Record& record, bool usable, Instant now);
  // Where a request may go.
  struct Where {
    const std::vector<EndpointId>& avoid;
    uint64_t key = 0;
    ModelNumber model = 0;
  };
  Record* WhereItIs(const Asking& asking, Instant now);
  Record* Pick(const Where& where, Instant now);
  Record* PickByKey(const Where& where, Instant now);
  Record* PickAmong(const Where& where, ChoicePolicy policy, Instant now);
  bool MayGo(const Record& record, const Where& where, Instant now) const;
  bool NowhereSoon(ModelNumber model, Instant now) const;
  ModelNumber Routed(ModelNumber model, Instant now) const;
  std::optional<double> Soonest(ModelNumber model, Instant now) const;
  Instant LatestStart(Instant deadline, ModelNumber model) const;
  struct TakeFor {
    Ticket ticket = 0;
    Instant deadline{};
    bool retry = false;
    bool work = true;
    uint64_t sequence = 0;
    bool sequence_end = false;
    uint64_t key = 0;
    ModelNumber model = 0;
    bool hedge = false;
  };
  void CountAdmitted(const Asking& asking);
  Grant Take(Record& record, const TakeFor& what, Instant now);
  static bool SaysHowLong(TryEnd end, int status);
  void Learn(Record& record, const Grant& grant, TryEnd end, int status, Instant now);
  void LearnModel(Record& record, const Grant& grant, TryEnd end, int status, Instant now,
                  const TrySaid& said);
  void CountOutcome(Record& record, TryEnd end, int status, Instant now);
  void Suspect(Record& record, Instant now);
  void KeepHouse(Instant now, Due& due);
  void ServeLine(Instant now, Due& due);
  void LeaveLine(const WaitingLine::Entry& entry, Instant now);
  void ForgetIfDone(EndpointId id, Instant now);
  void WakeAt(Record& record, std::optional<Instant> when);
  void DropWake(Record& record);

  Options options_;  // HealthCheck and Ejection refer to it.
  env::Random& random_;
  RetryBudget budget_;
  Hedging hedging_;
  WaitingLine line_;
  Counters counters_;
  std::unordered_map<EndpointId, Record> records_;
  std::vector<Record*> usable_;
  std::vector<Candidate> loads_;  // Of usable_, side by side for Choose.
  EndpointId last_id_ = 0;
  uint64_t successes_ = 0;
  // The next health check or end of an ejection of each endpoint.
  std::set<std::pair<Instant, EndpointId>> wakes_;
  size_t with_room_ = 0;     // Of usable_.
  uint32_t up_ = 0;          // Of records_, by state.
  uint32_t up_primary_ = 0;  // Of those, no backups.
  uint32_t ejected_ = 0;
  bool panic_ = false;      // Ejected endpoints are used.
  bool backups_in_ = true;  // Backups are used.
  SequenceTable sequences_;
  HashRing ring_;               // With kHash: of records_ that are not removed.
  uint64_t in_flight_ = 0;      // Of records_.
  uint64_t weight_usable_ = 0;  // Of usable_.
  ModelDirectory models_;
  ModelTimes model_times_;
  double usual_seconds_ = 0;  // See ServiceEstimate.
  std::vector<EndpointId> drained_;
};

}  // namespace tepal::lb
