// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IInferencePrices, Price} from "./IInferencePrices.sol";
import {ServingAccounts} from "./ServingAccounts.sol";

/// @title Prices of inference
/// @notice Every price a provider ever announced keeps its version, so that what an answer cost can be computed for good.
abstract contract InferencePrices is IInferencePrices, ServingAccounts {
    /// @custom:storage-location erc7201:perigee.storage.InferencePrices
    struct InferencePricesStorage {
        mapping(address provider => uint256 version) latest;
        mapping(address provider => mapping(uint256 version => Price)) prices;
    }

    /// @inheritdoc IInferencePrices
    uint256 public constant PRICE_NOTICE = 1 days;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.InferencePrices"));

    /// @inheritdoc IInferencePrices
    function priceVersion(address provider) public view returns (uint16 current, uint16 latest) {
        InferencePricesStorage storage $ = _pricesStorage();
        latest = uint16($.latest[provider]);
        current = latest;
        // Only the last one may still be to come.
        if ($.prices[provider][latest].effectiveAt > block.timestamp) --current;
    }

    /// @inheritdoc IInferencePrices
    function priceOf(address provider, uint16 version) public view returns (Price memory) {
        return _pricesStorage().prices[provider][version];
    }

    /// @dev Announces a price unless it is the one last announced. One that has yet to take effect is replaced.
    function _announcePrice(address provider, uint256 inputPrice, uint256 outputPrice) internal {
        require(inputPrice <= type(uint88).max, PriceTooHigh(inputPrice, type(uint88).max));
        require(outputPrice <= type(uint88).max, PriceTooHigh(outputPrice, type(uint88).max));
        InferencePricesStorage storage $ = _pricesStorage();
        (uint16 current, uint16 latest) = priceVersion(provider);
        Price memory last = $.prices[provider][latest];
        if (latest != 0 && inputPrice == last.inputPrice && outputPrice == last.outputPrice) return;
        uint256 effectiveAt = block.timestamp;
        if (current != 0) {
            Price memory inForce = $.prices[provider][current];
            if (inputPrice > inForce.inputPrice || outputPrice > inForce.outputPrice) effectiveAt += PRICE_NOTICE;
        }
        uint16 version = current + 1;
        $.latest[provider] = version;
        $.prices[provider][version] = Price(uint88(inputPrice), uint88(outputPrice), uint40(effectiveAt), 0);
        if (current != 0) $.prices[provider][current].until = uint40(effectiveAt);
        emit PriceAnnounced(provider, version, inputPrice, outputPrice, effectiveAt);
    }

    /// @dev Whether what was used under `price` may be charged now: it took effect, and was not superseded longer than a lock time ago.
    function _isChargeable(Price memory price) internal view returns (bool) {
        if (price.effectiveAt == 0 || price.effectiveAt > block.timestamp) return false;
        return price.until == 0 || price.until > block.timestamp || price.until + lockTime() > block.timestamp;
    }

    function _pricesStorage() private pure returns (InferencePricesStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
