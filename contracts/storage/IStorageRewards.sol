// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Rewards of storage miners
/// @notice Fees are spread over pricing chunks of the log, released linearly, and paid by halves to whoever proves a chunk. Amounts in wei.
interface IStorageRewards {
    /// A chunk received `amount`, net of the service fee, to be released over `releaseSeconds`.
    event Filled(uint256 indexed pricingIndex, uint256 amount);
    /// A proof by `minerId` over the chunk credited `amount` to `beneficiary`.
    event DistributeReward(
        uint256 indexed pricingIndex,
        address indexed beneficiary,
        bytes32 indexed minerId,
        uint256 amount
    );
    event Donated(address indexed from, uint256 amount);
    event BaseRewardSet(uint256 amount);
    event ServiceFeeSet(uint256 basisPoints, address treasury);
    event PaymentWithdrawn(address indexed account, uint256 amount);

    error NotMine(address caller);
    /// A chunk would hold this much; it can count below 2^96.
    error AmountTooLarge(uint256 amount);
    error ServiceFeeTooHigh(uint256 basisPoints, uint256 max);
    error InvalidTreasury(address treasury);
    error InvalidChunkSectors(uint256 sectors);
    error InvalidReleaseSeconds(uint256 duration);
    error InvalidRange(uint256 startPos, uint256 sectors);
    error NothingToWithdraw(address account);
    error WithdrawFailed(address account, uint256 amount);

    /// @notice Adds `msg.value`, less the service fee, to the chunks that [startPos, startPos + sectors) touches: by their sectors, or
    /// if they are more than `MAX_CHUNKS_PER_FILL`, in equal parts to that many of them, evenly spaced. Anyone may add.
    /// Reverts InvalidRange, and AmountTooLarge where a chunk would hold 2^96 wei.
    function fill(uint256 startPos, uint256 sectors) external payable;
    /// @notice Credits half of what is released in the chunk, plus the base reward while some of its fees are still to be released and the
    /// pool lasts. Nothing, without reverting, for a chunk that was never paid for. Only the mine contract; others revert NotMine.
    function claimMineReward(
        uint256 pricingIndex,
        address beneficiary,
        bytes32 minerId
    ) external returns (uint256 amount);
    /// @notice What `claimMineReward` would credit now.
    function claimable(uint256 pricingIndex) external view returns (uint256 amount);
    /// @notice Adds to the pool that base rewards are paid from.
    function donate() external payable;
    /// @notice Credit of `account`, to be withdrawn.
    function payments(address account) external view returns (uint256);
    /// @notice Sends `payee` its credit; anyone may call. Reverts NothingToWithdraw, or WithdrawFailed if `payee` does not take it.
    function withdrawPayments(address payable payee) external;
    /// @notice Sets what a claim adds from the base pool, as long as it lasts. Restricted.
    function setBaseReward(uint256 amount) external;
    /// @notice Sets the part of payments that goes to `treasury`. Restricted. Reverts ServiceFeeTooHigh, InvalidTreasury.
    function setServiceFee(uint256 basisPoints, address treasury) external;
    /// @notice The part of payments that goes to `treasury`, in basis points.
    function serviceFee() external view returns (uint256 basisPoints, address treasury);
    /// @notice State of a chunk now: wei not yet released, wei released and not yet claimed, and when (unix seconds) all is released.
    function chunkOf(uint256 pricingIndex) external view returns (uint256 locked, uint256 released, uint256 end);
    /// @notice Wei that a claim adds from the base pool.
    function baseReward() external view returns (uint256);
    /// @notice Wei left in the base pool.
    function totalBaseReward() external view returns (uint256);
    /// @notice Sectors of a pricing chunk; a power of two, at least 1024.
    function chunkSectors() external view returns (uint256);
    /// @notice Seconds over which a fee is released.
    function releaseSeconds() external view returns (uint256);
}
