// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice Wei per unit, from `effectiveAt` until `until` (unix seconds), when the next version takes effect; 0 = none was announced.
struct Price {
    uint88 inputPrice;
    uint88 outputPrice;
    uint40 effectiveAt;
    uint40 until;
}

/// @title Prices of inference, with their history
interface IInferencePrices {
    /// A price version was announced: a fall takes effect at once, a rise after `PRICE_NOTICE`. It replaces one of the same number that had yet to
    /// take effect.
    event PriceAnnounced(
        address indexed provider,
        uint16 indexed version,
        uint256 inputPrice,
        uint256 outputPrice,
        uint256 effectiveAt
    );

    error PriceTooHigh(uint256 price, uint256 max);

    /// @notice The version in force, and the one announced if there is one. Versions count from 1; 0 = none yet.
    function priceVersion(address provider) external view returns (uint16 current, uint16 latest);
    /// @notice Zeros for a version that does not exist.
    function priceOf(address provider, uint16 version) external view returns (Price memory);
    /// @notice Seconds between the announcement of a rise and its effect.
    function PRICE_NOTICE() external view returns (uint256);
}
