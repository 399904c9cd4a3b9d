// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IRefundCredit} from "../lib/IRefundCredit.sol";

/// @title The price of storage and the leases it buys
/// @notice A submission is leased from the opening of its epoch for `leasePeriod`; anyone may renew a lease.
interface IStorageMarket is IRefundCredit {
    /// Wei per sector; `next` takes effect at `effectiveAt` (unix seconds).
    event PriceScheduled(uint256 current, uint256 next, uint256 effectiveAt);
    /// `payer` paid the lease of a submission until `until` (unix seconds).
    event LeaseRenewed(uint256 indexed index, uint256 startPos, uint256 sectors, uint256 until, address payer);

    /// Until then the price before the last one may still be accepted.
    error PriceJustChanged(uint256 until);
    error PriceTooHigh(uint256 price, uint256 max);
    /// The log does not have as many submissions, or does not reach as far.
    error UnknownSubmission(uint256 index, uint256 startPos, uint256 sectors);
    /// Wei: the price of a sector, what is due, what was sent.
    error NotEnoughFee(uint256 price, uint256 amount, uint256 paid);
    /// Unix seconds: the end that a renewal would give, and the latest that is allowed.
    error LeaseTooLong(uint256 until, uint256 max);
    error InvalidPeriod(uint256 duration);

    /// @notice Wei for one sector and one lease period.
    function pricePerSector() external view returns (uint256);
    /// @notice Wei due for `sectors` out of `offered`: the price, or for an hour after a rise the old price if that is what was offered.
    /// Reverts NotEnoughFee.
    function due(uint256 sectors, uint256 offered) external view returns (uint256 amount);
    /// @notice Schedules a price, in place of one that is not yet in effect. Restricted; takes effect after `PRICE_NOTICE` seconds.
    /// Reverts PriceTooHigh, or PriceJustChanged in the hour in which the price before the last one may still be accepted.
    function schedulePrice(uint256 next) external;
    /// @notice The price last scheduled, and when it takes or took effect (unix seconds).
    function scheduledPrice() external view returns (uint256 price, uint256 effectiveAt);
    /// @notice Extends the lease of the submission by one period, from its end or, if it has ended, from now. Charges exactly the price
    /// and returns the rest. A triple that is no submission buys nothing: nodes honour only those of a Submit event.
    function renew(uint256 index, uint256 startPos, uint256 sectors) external payable returns (uint256 until);
    /// @notice Unix time until which the submission is paid for; reverts UnknownSubmission where the log has no such position.
    function leaseOf(uint256 index, uint256 startPos, uint256 sectors) external view returns (uint256 until);
    /// @notice Seconds that one payment buys.
    function leasePeriod() external view returns (uint256);
    /// @notice Seconds after expiry for which nodes still keep the data.
    function gracePeriod() external view returns (uint256);
    /// @notice Identifier of a lease: keccak256(abi.encode(index, startPos, sectors)).
    function leaseKey(uint256 index, uint256 startPos, uint256 sectors) external pure returns (bytes32);
}
