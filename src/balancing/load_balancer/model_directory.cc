#include "balancing/load_balancer/model_directory.h"

#include <algorithm>

namespace tepal::lb {

ModelNumber ModelDirectory::Find(std::string_view model) const {
  const auto found = numbers_.find(model);
  return found == numbers_.end() ? 0 : found->second;
}

ModelNumber ModelDirectory::Intern(std::string_view model) {
  if (const ModelNumber known = Find(model)) return known;
  if (model.empty() || models_.size() >= kModelsMax) return 0;
  models_.push_back({.name = std::string(model), .listed_by = 0, .unknown_to = {}});
  const auto number = static_cast<ModelNumber>(models_.size());
  numbers_.emplace(std::string(model), number);
  return number;
}

void ModelDirectory::Unlist(const std::vector<bool>& listing) {
  for (size_t i = 0; i < listing.size(); ++i) {
    if (listing[i]) --models_[i].listed_by;
  }
}

void ModelDirectory::OnListing(EndpointId endpoint, const std::vector<std::string>& ready) {
  std::vector<bool> listing;
  for (const std::string& model : ready) {
    const ModelNumber number = Intern(model);
    if (number == 0) continue;
    if (listing.size() < number) listing.resize(number);
    if (listing[number - 1]) continue;
    listing[number - 1] = true;
    ++models_[number - 1].listed_by;
    std::erase_if(models_[number - 1].unknown_to,
                  [endpoint](const auto& mark) { return mark.first == endpoint; });
  }
  std::vector<bool>& kept = listings_[endpoint];
  Unlist(kept);
  kept = std::move(listing);
}

void ModelDirectory::Forget(EndpointId endpoint) {
  const auto listing = listings_.extract(endpoint);
  if (!listing.empty()) Unlist(listing.mapped());
}

void ModelDirectory::OnUnknown(EndpointId endpoint, std::string_view model, Instant now) {
  const ModelNumber number = Find(model);
  if (number == 0) return;
  auto& marks = models_[number - 1].unknown_to;
  std::erase_if(marks,
                [&](const auto& mark) { return mark.first == endpoint || mark.second <= now; });
  marks.emplace_back(endpoint, now + kUnknownFor);
}

bool ModelDirectory::LackedBySome(ModelNumber model) const {
  if (model == 0) return false;
  const Model& known = models_[model - 1];
  if (!known.unknown_to.empty()) return true;
  return known.listed_by > 0 && known.listed_by < listings_.size();
}

const std::vector<bool>* ModelDirectory::Listing(EndpointId endpoint) const {
  const auto listing = listings_.find(endpoint);
  return listing == listings_.end() ? nullptr : &listing->second;
}

bool ModelDirectory::Refuses(EndpointId endpoint, ModelNumber model, Instant now) const {
  for (const auto& [id, until] : models_[model - 1].unknown_to) {
    if (id == endpoint && now < until) return true;
  }
  return false;
}

bool ModelDirectory::Lacks(EndpointId endpoint, ModelNumber model, Instant now) const {
  if (model == 0) return false;
  if (Refuses(endpoint, model, now)) return true;
  if (models_[model - 1].listed_by == 0) return false;
  const std::vector<bool>* listing = Listing(endpoint);
  if (listing == nullptr) return false;
  return listing->size() < model || !(*listing)[model - 1];
}

}  // namespace tepal::lb
