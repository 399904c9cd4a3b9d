// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManagedUpgradeable} from "@openzeppelin/contracts-upgradeable/access/manager/AccessManagedUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {RefundCredit} from "../lib/RefundCredit.sol";
import {IFlow} from "./IFlow.sol";
import {IStorageMarket} from "./IStorageMarket.sol";
import {IStorageRewards} from "./IStorageRewards.sol";

/// @title The price of storage and the leases it buys
/// @notice One price for everybody, changed only with notice. The first lease of a submission costs no storage: it follows
/// from the time at which its epoch was opened; only renewals are recorded.
contract StorageMarket is
    IStorageMarket,
    AccessManagedUpgradeable,
    RefundCredit,
    ReentrancyGuardTransient,
    UUPSUpgradeable
{
    /// @custom:storage-location erc7201:perigee.storage.StorageMarket
    struct StorageMarketStorage {
        // Wei per sector: `price` until `priceChangeAt` (unix seconds), `nextPrice` from then on.
        uint96 price;
        uint96 nextPrice;
        uint64 priceChangeAt;
        IFlow flow;
        IStorageRewards rewards;
        uint64 leasePeriod;
        uint64 gracePeriod;
        mapping(bytes32 leaseKey => uint256 until) renewedUntil;
    }

    /// @notice Seconds between the scheduling of a price and its effect.
    uint256 public constant PRICE_NOTICE = 7 days;
    /// @notice Seconds after a rise during which the old price is still accepted, for uploads that were priced before it.
    uint256 public constant PRICE_OVERLAP = 1 hours;
    /// @notice How far ahead a lease can be paid, in lease periods from now: what is paid is released to miners from the day
    /// of payment, so it must not be for a service far in the future.
    uint256 public constant MAX_PERIODS_AHEAD = 2;

    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.StorageMarket"));

    /// @custom:oz-upgrades-unsafe-allow constructor
    constructor() {
        _disableInitializers();
    }

    /// @notice To be called in the deployment transaction of the proxy.
    /// @param authority the AccessManager
    /// @param flow_ the log whose submissions are leased
    /// @param rewards_ receives what renewals pay
    /// @param price wei for one sector and one lease period
    /// @param leasePeriod_ seconds
    /// @param gracePeriod_ seconds
    function initialize(
        address authority,
        address flow_,
        address rewards_,
        uint256 price,
        uint256 leasePeriod_,
        uint256 gracePeriod_
    ) external initializer {
        _checkPrice(price);
        require(leasePeriod_ != 0 && leasePeriod_ <= type(uint40).max, InvalidPeriod(leasePeriod_));
        require(gracePeriod_ <= type(uint40).max, InvalidPeriod(gracePeriod_));
        __AccessManaged_init(authority);
        StorageMarketStorage storage $ = _marketStorage();
        $.price = uint96(price);
        $.nextPrice = uint96(price);
        $.flow = IFlow(flow_);
        $.rewards = IStorageRewards(rewards_);
        $.leasePeriod = uint64(leasePeriod_);
        $.gracePeriod = uint64(gracePeriod_);
    }

    // ---- price

    /// @inheritdoc IStorageMarket
    function pricePerSector() external view returns (uint256) {
        StorageMarketStorage storage $ = _marketStorage();
        return block.timestamp < $.priceChangeAt ? $.price : $.nextPrice;
    }

    /// @inheritdoc IStorageMarket
    function due(uint256 sectors, uint256 offered) public view returns (uint256 amount) {
        StorageMarketStorage storage $ = _marketStorage();
        (uint256 price, uint256 nextPrice, uint256 changeAt) = ($.price, $.nextPrice, $.priceChangeAt);
        uint256 current = block.timestamp < changeAt ? price : nextPrice;
        amount = current * sectors;
        if (offered >= amount) return amount;
        uint256 accepted = block.timestamp < changeAt + PRICE_OVERLAP ? price : current;
        require(offered >= accepted * sectors, NotEnoughFee(current, amount, offered));
        return accepted * sectors;
    }

    /// @inheritdoc IStorageMarket
    function schedulePrice(uint256 next) external restricted {
        _checkPrice(next);
        StorageMarketStorage storage $ = _marketStorage();
        uint256 changeAt = $.priceChangeAt;
        if (block.timestamp >= changeAt) {
            require(block.timestamp >= changeAt + PRICE_OVERLAP, PriceJustChanged(changeAt + PRICE_OVERLAP));
            $.price = $.nextPrice;
        }
        $.nextPrice = uint96(next);
        changeAt = block.timestamp + PRICE_NOTICE;
        $.priceChangeAt = uint64(changeAt);
        emit PriceScheduled($.price, next, changeAt);
    }

    /// @inheritdoc IStorageMarket
    function scheduledPrice() external view returns (uint256 price, uint256 effectiveAt) {
        StorageMarketStorage storage $ = _marketStorage();
        return ($.nextPrice, $.priceChangeAt);
    }

    // ---- leases

    /// @inheritdoc IStorageMarket
    function renew(
        uint256 index,
        uint256 startPos,
        uint256 sectors
    ) external payable nonReentrant returns (uint256 until) {
        StorageMarketStorage storage $ = _marketStorage();
        uint256 period = $.leasePeriod;
        until = leaseOf(index, startPos, sectors);
        until = (until < block.timestamp ? block.timestamp : until) + period;
        uint256 max = block.timestamp + MAX_PERIODS_AHEAD * period;
        require(until <= max, LeaseTooLong(until, max));
        uint256 amount = due(sectors, msg.value);
        $.renewedUntil[leaseKey(index, startPos, sectors)] = until;
        emit LeaseRenewed(index, startPos, sectors, until, msg.sender);
        $.rewards.fill{value: amount}(startPos, sectors);
        _refund(msg.sender, msg.value - amount);
    }

    /// @inheritdoc IStorageMarket
    function leaseOf(uint256 index, uint256 startPos, uint256 sectors) public view returns (uint256 until) {
        StorageMarketStorage storage $ = _marketStorage();
        require(startPos != 0 && startPos <= type(uint64).max, UnknownSubmission(index, startPos, sectors));
        require(sectors != 0 && sectors <= type(uint64).max, UnknownSubmission(index, startPos, sectors));
        // A submission lies within one epoch, so its last sector tells for all; 0 where the log does not reach that far.
        uint256 openedAt = $.flow.openedAtPosition(startPos + sectors - 1);
        require(openedAt != 0 && index < $.flow.numSubmissions(), UnknownSubmission(index, startPos, sectors));
        until = openedAt + $.leasePeriod;
        uint256 renewed = $.renewedUntil[leaseKey(index, startPos, sectors)];
        if (renewed > until) until = renewed;
    }

    /// @inheritdoc IStorageMarket
    function leaseKey(uint256 index, uint256 startPos, uint256 sectors) public pure returns (bytes32) {
        return keccak256(abi.encode(index, startPos, sectors));
    }

    /// @inheritdoc IStorageMarket
    function leasePeriod() external view returns (uint256) {
        return _marketStorage().leasePeriod;
    }

    /// @inheritdoc IStorageMarket
    function gracePeriod() external view returns (uint256) {
        return _marketStorage().gracePeriod;
    }

    function _checkPrice(uint256 price) private pure {
        require(price <= type(uint96).max, PriceTooHigh(price, type(uint96).max));
    }

    function _authorizeUpgrade(address) internal override restricted {}

    function _marketStorage() private pure returns (StorageMarketStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
