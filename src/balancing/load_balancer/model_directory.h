// Which endpoint has which model ready, as far as the endpoints have said.
//
// An endpoint's listing (GET /v2/tepal/load, or the READY entries of a repository index) is all it
// has; one without a listing may have anything. A model that no listing has may be anywhere:
// whoever is asked for it says so itself. Between two listings, an endpoint that answers "unknown
// model" is left out for that model for kUnknownFor.
//
// Models have numbers, so that whoever keeps something of them keeps it in arrays. A name gets a
// number when an endpoint lists it or has answered for it with success: what clients make up gets
// none. At most kModelsMax of them; those beyond are known to nobody, and sent anywhere.
// A plain state machine. Nothing here costs more in a pool of 10,000 endpoints but OnListing.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "balancing/load_balancer/endpoint.h"
#include "core/base/time.h"

namespace tepal::lb {

// From 1; 0: none.
using ModelNumber = uint32_t;

class ModelDirectory {
 public:
  static constexpr size_t kModelsMax = 4096;
  static constexpr Duration kUnknownFor = 10s;

  // All that `endpoint` has ready.
  void OnListing(EndpointId endpoint, const std::vector<std::string>& ready);
  // It lists nothing any more, or has gone.
  void Forget(EndpointId endpoint);

  // It has answered for the model with success.
  ModelNumber OnServed(std::string_view model) { return Intern(model); }
  // It has answered that it does not know the model.
  void OnUnknown(EndpointId endpoint, std::string_view model, Instant now);

  ModelNumber Find(std::string_view model) const;
  const std::string& Name(ModelNumber model) const { return models_[model - 1].name; }

  // The last number that is given.
  ModelNumber last() const { return static_cast<ModelNumber>(models_.size()); }

  // What the endpoint lists, by number less 1 and as far as it goes; null: it has no listing.
  const std::vector<bool>* Listing(EndpointId endpoint) const;

  // Some endpoint lists it.
  bool Listed(ModelNumber model) const { return model != 0 && models_[model - 1].listed_by > 0; }
  // Whether the model's requests may not go just anywhere. Cheap; Lacks says the rest.
  bool LackedBySome(ModelNumber model) const;
  // It has just said that it does not know the model.
  bool Refuses(EndpointId endpoint, ModelNumber model, Instant now) const;
  // Whether its requests must not go there.
  bool Lacks(EndpointId endpoint, ModelNumber model, Instant now) const;

 private:
  struct Model {
    std::string name;
    uint32_t listed_by = 0;                                  // Endpoints.
    std::vector<std::pair<EndpointId, Instant>> unknown_to;  // And until when.
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  ModelNumber Intern(std::string_view model);
  void Unlist(const std::vector<bool>& listing);

  std::vector<Model> models_;
  std::unordered_map<std::string, ModelNumber, Hash, std::equal_to<>> numbers_;
  std::unordered_map<EndpointId, std::vector<bool>> listings_;  // By number less 1.
};

}  // namespace tepal::lb
