// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Providers of a service: their stake, their signers and what they earned
/// @notice Amounts in wei, times in unix seconds.
interface IServingProviders {
    event ServiceRemoved(address indexed service);
    event ProviderStaked(address indexed provider, uint256 amount);
    /// `previous` may settle what it signed until `previousUntil`.
    event TeeSignerChanged(address indexed provider, address indexed signer, address previous, uint256 previousUntil);
    event EarningsWithdrawn(address indexed provider, address indexed to, uint256 amount);

    error CannotAddStakeWhenUpdating();
    error DirectDepositsDisabled();
    error InsufficientStake(uint256 provided, uint256 required);
    error InvalidAddress(address addr);
    error LimitTooLarge(uint256 limit, uint256 max);
    error ServiceNotExist(address provider);
    /// A text of a service is longer than `max` bytes.
    error TextTooLong(uint256 length, uint256 max);
    error TransferFailed();
    error SignerNotAttested(address provider, address signer);
    error NothingEarned(address provider);

    /// @notice The caller's service ends. Its stake stays in Bonds until the provider asks it back there, and its signer may still settle.
    /// Reverts ServiceNotExist.
    function removeService() external;
    /// @notice Whether `provider` offers a service now.
    function serviceExists(address provider) external view returns (bool);
    /// @notice Until when what `signer` signed counts for `provider`: 0 if it never was its signer, the maximum while it is.
    function signerUntil(address provider, address signer) external view returns (uint256);
    /// @notice Whether the signer of `provider` is attested, and its stake in place.
    function isInGoodStanding(address provider) external view returns (bool);
    /// @notice The bond that answers for `provider`, see IBonds.
    function bondOf(address provider) external view returns (bytes32 id);
    /// @notice Wei that `provider` can withdraw.
    function earningsOf(address provider) external view returns (uint256);
    /// @notice Sends the caller's earnings to `to`. Reverts NothingEarned, TransferFailed.
    function withdrawEarnings(address payable to) external returns (uint256 amount);
    /// @notice Wei that a provider bonds, at the least, to offer a service and to settle.
    function MIN_PROVIDER_STAKE() external view returns (uint256);
}
